/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_HOST_WIRE_WIRE_H
#define LUNSHADOW_PROVIDER_HOST_WIRE_WIRE_H

#include "common/config.h"
#include "common/error.h"
#include "provider/host/host.h"

#include <lunshadow/provider.h>
#include <stddef.h>
#include <stdint.h>

/* The structures of provider.h to the content of frames and back (wire.proto). The far side is not
 * trusted: what decoding yields is checked against what was asked, and lives in the arena given. */

enum wire_kind { WIRE_NONE, WIRE_HELLO, WIRE_FACTS, WIRE_REQUEST, WIRE_REPLY, WIRE_LOG };

/* What crosses first: the plug-in's own section, and [initiator] and [portal] for the LUNs that it
 * opens through the host (it does not see those). Nothing else of the configuration. */
struct wire_hello {
    struct config config; /* the first section is the plug-in's; its memory is the arena's */
    int log_level;
};

struct wire_facts {
    HRESULT result; /* failed: error says why there is no table, and the rest is empty */
    const char *error;
    const char *path;
    VSS_ID provider_id;
    VSS_ID version_id;
    const char *name;
    const char *version;
    uint16_t abi_major;
    uint16_t abi_minor;
    uint64_t ops; /* bit N: has operation N */
};

union wire_in {
    struct vss_on_load_in on_load;
    struct vss_on_unload_in on_unload;
    struct vss_luns_in luns;
    struct vss_set_in set;
    struct vss_state_change_in state_change;
    struct vss_resync_in resync;
    struct vss_changes_in changes;
};

union wire_out {
    struct vss_on_load_out on_load;
    struct vss_capabilities_out capabilities;
    struct vss_supported_out supported;
    struct vss_states_out states;
    struct vss_target_luns_out target_luns;
    struct vss_resync_out resync;
    struct vss_changes_out changes;
};

struct wire_request {
    uint64_t number;
    enum vss_provider_op op;
    uint32_t deadline_ms;
    union wire_in in;
};

struct wire_reply {
    uint64_t number; /* of the request */
    HRESULT result;
    const char *error; /* the plug-in's own line, or NULL */
};

struct wire_log {
    int level;
    const char *text;
};

/* What a frame turned out to be. */
struct wire_frame {
    enum wire_kind kind;
    struct wire_hello hello;
    struct wire_facts facts;
    struct wire_request request;
    struct wire_reply reply;
    struct wire_log log;
    const void *message; /* the reply, for wire_take_out() */
};

/* Number of LUNs that in (of op) is about: what arrays in the output must have. */
uint32_t wire_lun_count(enum vss_provider_op op, const void *in);

/* Each fills *out_content with malloc'ed bytes. E_OUTOFMEMORY only. */
struct wire_content {
    uint8_t *data;
    size_t bytes;
};
/* config may be NULL: only section crosses. */
HRESULT wire_encode_hello(const struct config *config, const struct config_section *section,
                          int log_level, struct wire_content *out_content);
HRESULT wire_encode_facts(const struct wire_facts *facts, struct wire_content *out_content);
HRESULT wire_encode_log(int level, const char *text, struct wire_content *out_content);
HRESULT wire_encode_request(uint64_t number, enum vss_provider_op op, uint32_t deadline_ms,
                            const void *in, struct wire_content *out_content);
/* out is encoded where reply->result is a success. lun_count: of the request. */
HRESULT wire_encode_reply(const struct wire_reply *reply, enum vss_provider_op op, const void *out,
                          uint32_t lun_count, struct wire_content *out_content);

/* VSS_E_UNEXPECTED: no well-formed frame, or one that would take more than WIRE_DECODED_BYTES_MAX
 * to hold, or memory is short. */
#define WIRE_DECODED_BYTES_MAX (96u << 20)
HRESULT wire_decode(const uint8_t *content, size_t bytes, struct provider_arena *arena,
                    struct wire_frame *out);

/* The output that came with a successful reply, into the structure of op. VSS_E_UNEXPECTED with a
 * line that says what is wrong with it: the wrong kind, arrays that are not lun_count long, states
 * over VSS_PROVIDER_STATE_BYTES_MAX, designators over 255 bytes, extents over
 * VSS_PROVIDER_EXTENTS_MAX, or counted and not given. */
HRESULT wire_take_out(const struct wire_frame *frame, enum vss_provider_op op, uint32_t lun_count,
                      struct provider_arena *arena, void *out, struct error *err);

#endif
