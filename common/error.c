/* SPDX-License-Identifier: Apache-2.0 */
#include "common/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What is defined here, not the analyzer's view of it. */
#undef error_set
#undef error_set_errno

__attribute__((format(printf, 3, 0))) static void set_text(struct error *err, HRESULT code,
                                                           const char *format, va_list args)
{
    if (!err || FAILED(err->code)) {
        return;
    }
    err->code = code;
    (void)vsnprintf(err->text, sizeof(err->text), format, args);
}

HRESULT error_set(struct error *err, HRESULT code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_text(err, code, format, args);
    va_end(args);
    return code;
}

void error_prefix(struct error *err, const char *format, ...)
{
    if (!err || err->code == S_OK) {
        return;
    }
    char old[sizeof(err->text)];
    memcpy(old, err->text, sizeof(old));
    va_list args;
    va_start(args, format);
    int length = vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    if (length < 0 || (size_t)length >= sizeof(err->text)) {
        memcpy(err->text, old, sizeof(old));
        return;
    }
    size_t used = (size_t)length;
    (void)snprintf(err->text + used, sizeof(err->text) - used, ": %.*s", (int)(sizeof(old) - 1),
                   old);
}

HRESULT error_translate(struct error *err, HRESULT code)
{
    if (err) {
        err->code = code;
    }
    return code;
}

void error_clear(struct error *err)
{
    if (err) {
        err->code = S_OK;
        err->text[0] = '\0';
    }
}

HRESULT error_from_errno(int errnum)
{
    switch (errnum) {
    case ENOMEM:
    case EMFILE: /* it says nothing of what was to be opened */
    case ENFILE:
        return E_OUTOFMEMORY;
    case EACCES:
    case EPERM:
    case EROFS:
        return E_ACCESSDENIED;
    case ENOSPC:
    case EDQUOT:
        return VSS_E_INSUFFICIENT_STORAGE;
    case ENOENT:
        return VSS_E_OBJECT_NOT_FOUND;
    default:
        return VSS_E_UNEXPECTED;
    }
}

HRESULT error_set_errno(struct error *err, int errnum, const char *format, ...)
{
    char text[sizeof(((struct error *)0)->text)];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    char reason[128];
    return error_set(err, error_from_errno(errnum), "%s: %s", text,
                     strerror_r(errnum, reason, sizeof(reason)));
}

const char *error_text(const struct error *err)
{
    if (!err) {
        return "";
    }
    return err->text[0] ? err->text : vss_error_explanation(err->code);
}
