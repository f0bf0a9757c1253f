/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_COMMON_ERROR_H
#define LUNSHADOW_COMMON_ERROR_H

#include <lunshadow/vss.h>
#include <stddef.h>

/* What went wrong, said once by the function that noticed it. A record lives in the handle of a
 * session, in an async object, or on the stack of a command; every function that can fail takes a
 * pointer to one, which may be NULL where nobody will read it. */
struct error {
    HRESULT code;
    char text[1024]; /* one plain line: which LUN, which offset, what to do next; no secrets */
};

/* Writes code and text when err has none yet (the first detector wins) and returns code. */
HRESULT error_set(struct error *err, HRESULT code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts a position in front of the text that is there: "FORMAT: text". Does nothing on S_OK. */
void error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Replaces the code (a layer above translates it as documented) and keeps the text. Returns code.
 */
HRESULT error_translate(struct error *err, HRESULT code);

void error_clear(struct error *err);

/* Maps errno: ENOMEM, EMFILE, ENFILE E_OUTOFMEMORY; EACCES, EPERM, EROFS E_ACCESSDENIED; ENOSPC,
 * EDQUOT VSS_E_INSUFFICIENT_STORAGE; ENOENT VSS_E_OBJECT_NOT_FOUND; all others VSS_E_UNEXPECTED. */
HRESULT error_from_errno(int errnum);

/* error_set() with error_from_errno(errnum) as the code and strerror(errnum) behind the text. */
HRESULT error_set_errno(struct error *err, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#ifdef __clang_analyzer__
/* For the analyzer, which sees one file at a time: these return the failure that they are given. */
#define error_set(err, code, ...) ((void)error_set(err, code, __VA_ARGS__), (HRESULT)(code))
#define error_set_errno(err, errnum, ...)                                                          \
    ((void)error_set_errno(err, errnum, __VA_ARGS__), VSS_E_UNEXPECTED)
#endif

/* The record's text, or the explanation of its code where it has none; never NULL. */
const char *error_text(const struct error *err);

#endif
