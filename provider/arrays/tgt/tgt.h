/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TGT_H
#define LUNSHADOW_TGT_H

#include <lunshadow/provider.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What every file of this plug-in starts from: the call that is being served and the settings of
 * its [array] section. Made anew by tgt_begin() in each callback, because a callback may meet a new
 * process; nothing is kept between calls outside the states that the host stores. All memory comes
 * from the call's arena, so nothing is freed here. */
struct tgt {
    const struct vss_call *call;
    uint32_t control_port;   /* tgtadm -C */
    const char *socket;      /* value for TGT_IPC_SOCKET; NULL: tgtd's default */
    const char *lock_path;   /* the lock file that a living tgtd holds */
    const char *copies;      /* prefix of the names of the targets that show copies */
    uint32_t max_hold_ms;    /* longest time that I/O may be held */
    uint32_t extent_cost_us; /* foreseen time to clone one extent */
    bool allow_hold;         /* targets that are not of a set may be stopped with it */
};

/* Reads and checks the settings. VSS_E_PROVIDER_VETO with the key named where one is not usable. */
HRESULT tgt_begin(const struct vss_call *call, struct tgt *out);

/* ---- memory and messages (call.c) */

/* Zeroed memory of the call; NULL when memory is short. */
void *tgt_alloc(const struct tgt *t, size_t bytes);

/* printf into the call's memory; NULL when memory is short. */
char *tgt_text(const struct tgt *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* At most `length` characters of text, copied; NULL when memory is short. */
char *tgt_copy(const struct tgt *t, const char *text, size_t length);

/* Hands the line to the host as the reason for a failure and returns code. */
HRESULT tgt_fail(const struct tgt *t, HRESULT code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with strerror(errnum) behind the line. Code: E_OUTOFMEMORY for ENOMEM,
 * VSS_E_INSUFFICIENT_STORAGE for ENOSPC and EDQUOT, VSS_E_PROVIDER_VETO for the rest. */
HRESULT tgt_fail_errno(const struct tgt *t, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void tgt_log(const struct tgt *t, uint32_t level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "b57190af-454a-4dd0-8afd-e57facd5d9af" */
#define TGT_ID_TEXT_BYTES 37
char *tgt_id_text(const VSS_ID *id, char out[TGT_ID_TEXT_BYTES]);

uint64_t tgt_now_us(void); /* CLOCK_MONOTONIC */

/* ---- the callbacks; see enum vss_provider_op */
HRESULT tgt_on_load(void *self, const struct vss_call *call, const void *in, void *out);
HRESULT tgt_get_capabilities(void *self, const struct vss_call *call, const void *in, void *out);
HRESULT tgt_are_luns_supported(void *self, const struct vss_call *call, const void *in, void *out);
HRESULT tgt_fill_in_lun_info(void *self, const struct vss_call *call, const void *in, void *out);
HRESULT tgt_begin_prepare(void *self, const struct vss_call *call, const void *in, void *out);
HRESULT tgt_end_prepare(void *self, const struct vss_call *call, const void *in, void *out);
HRESULT tgt_pre_commit(void *self, const struct vss_call *call, const void *in, void *out);
HRESULT tgt_commit(void *self, const struct vss_call *call, const void *in, void *out);
HRESULT tgt_post_commit(void *self, const struct vss_call *call, const void *in, void *out);
HRESULT tgt_pre_final_commit(void *self, const struct vss_call *call, const void *in, void *out);
HRESULT tgt_post_final_commit(void *self, const struct vss_call *call, const void *in, void *out);
HRESULT tgt_abort(void *self, const struct vss_call *call, const void *in, void *out);
HRESULT tgt_get_target_luns(void *self, const struct vss_call *call, const void *in, void *out);
HRESULT tgt_locate_luns(void *self, const struct vss_call *call, const void *in, void *out);
HRESULT tgt_on_lun_empty(void *self, const struct vss_call *call, const void *in, void *out);
HRESULT tgt_on_lun_state_change(void *self, const struct vss_call *call, const void *in, void *out);
HRESULT tgt_resync_start(void *self, const struct vss_call *call, const void *in, void *out);
HRESULT tgt_resync_poll(void *self, const struct vss_call *call, const void *in, void *out);
HRESULT tgt_resync_cancel(void *self, const struct vss_call *call, const void *in, void *out);
HRESULT tgt_list_changes(void *self, const struct vss_call *call, const void *in, void *out);

#endif
