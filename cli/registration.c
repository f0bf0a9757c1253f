/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/providers.h"

#include "cli/text.h"
#include "common/id.h"

#include <lunshadow/admin.h>
#include <stdio.h>

static HRESULT open_admin(const struct cli *cli, struct vss_admin **out, struct error *err)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    options.config_path = cli->config_path;
    options.state_directory = cli->state_directory;
    char *text = NULL;
    HRESULT hr = vss_create_admin(&options, out, &text);
    if (FAILED(hr)) {
        (void)error_set(err, hr, "%s", text ? text : vss_error_explanation(hr));
    }
    vss_free_string(text);
    return hr;
}

static int fail_with(const struct cli *cli, struct vss_admin *admin, HRESULT hr, struct error *err)
{
    if (admin) {
        (void)error_set(err, hr, "%s", vss_admin_error_text(admin));
    }
    vss_admin_release(admin);
    return cli_fail(cli, err);
}

static int print_id(const struct cli *cli, const char *what, const VSS_ID *id)
{
    char text[ID_TEXT_BYTES];
    if (cli->json) {
        return cli_print_json(cli, json_pack("{s:o}", "provider", text_id_to_json(id)));
    }
    (void)printf("%s provider %s.\n", what, id_text(id, text));
    return CLI_OK;
}

int providers_register_file(struct cli *cli)
{
    struct vss_admin *admin = NULL;
    struct error err = {0};
    VSS_ID id = id_null;
    HRESULT hr = open_admin(cli, &admin, &err);
    if (SUCCEEDED(hr)) {
        hr = vss_admin_register_provider(admin, cli->arguments[1], &id);
    }
    if (FAILED(hr)) {
        return fail_with(cli, admin, hr, &err);
    }
    vss_admin_release(admin);
    return print_id(cli, "Registered", &id);
}

int providers_unregister_id(struct cli *cli)
{
    struct vss_admin *admin = NULL;
    struct error err = {0};
    VSS_ID id = id_null;
    if (!id_parse(cli->arguments[1], &id)) {
        return cli_misuse(cli, "%s is not an id: see lunshadow provider list", cli->arguments[1]);
    }
    HRESULT hr = open_admin(cli, &admin, &err);
    if (SUCCEEDED(hr)) {
        hr = vss_admin_unregister_provider(admin, &id);
    }
    if (FAILED(hr)) {
        return fail_with(cli, admin, hr, &err);
    }
    vss_admin_release(admin);
    return print_id(cli, "Unregistered", &id);
}
