/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_LUN_H
#define LUNSHADOW_LUN_LUN_H

#include "common/config.h"
#include "lun/block.h"
#include "lun/identity.h"
#include "lun/scsi.h"

/* Where a LUN is: iscsi://[user%secret@]host[:port]/target-iqn/lun. Found by this, known by
 * identity. */
struct lun_address {
    char portal[272]; /* "host:port"; IPv6 in brackets; port 3260 where none was given */
    char target[256]; /* iSCSI name */
    uint64_t lun;
    char user[256];   /* "" without CHAP; never shown */
    char secret[256]; /* never shown, never stored */
};

/* Parses the URL form. Host names become lower case and the port is always written, so that equal
 * places are equal text. User and secret end at the last '@' before the first '/': a secret with a
 * '/' in it has to come from a file. E_INVALIDARG says what is wrong with it, without user and
 * secret. */
HRESULT lun_address_parse(const char *url, struct lun_address *out, struct error *err);

/* "host[:port]" in the form of lun_address.portal. E_INVALIDARG for what is not that. */
HRESULT lun_portal_parse(const char *text, char out[272], struct error *err);

/* True for an iSCSI name (RFC 7143 4.2.7): "iqn.", "eui." or "naa." and the characters allowed
 * there. */
bool lun_is_iscsi_name(const char *text);

/* The URL without user and secret; malloc'ed, NULL when memory is short. */
char *lun_address_text(const struct lun_address *address);

/* How sessions are made. From the configuration: [initiator] name, timeout_ms (100..600000, for
 * connecting and logging in); [portal NAME] address, user, secret_file (its first line) or
 * secret_env (the name of an environment variable), header_digest (none, crc32c; without it the
 * target may choose), data_digest (none: libiscsi has no other). */
struct lun_options {
    const struct config *config; /* may be NULL: defaults */
    const char *initiator_name;  /* overrides the configuration; NULL: as configured, else one made
                                    of  the host's name */
    uint32_t timeout_ms;         /* for connecting and logging in; 0: as configured */
};

/* This host's initiator name under these options: initiator_name, the configuration's,
 * InitiatorName of /etc/iscsi/initiatorname.iscsi, "iqn.2026-11.lunshadow:HOST". malloc'ed.
 * E_INVALIDARG where what was given is not an iSCSI name. options may be NULL here and below. */
HRESULT lun_initiator_name(const struct lun_options *options, char **out, struct error *err);

/* Opens a session to the target of address (address->lun is not looked at). CHAP from the address
 * or from the [portal] with that address. VSS_E_OBJECT_NOT_FOUND: portal unreachable or target
 * unknown; E_ACCESSDENIED: login refused. Close with scsi_close(). */
HRESULT lun_open_session(const struct lun_address *address, const struct lun_options *options,
                         struct scsi_transport **out, struct error *err);

/* CHAP user and secret for the target of address, from where lun_open_session() has them, for a
 * program that logs in itself; "" where there are none. The caller wipes them. */
HRESULT lun_credentials(const struct lun_address *address, const struct lun_options *options,
                        char out_user[256], char out_secret[256], struct error *err);

/* An opened LUN: its session, its identity read at opening, and itself as a block device. Behind
 * its number may come to be another LUN, of which a unit attention is all the notice: after one,
 * whichever command met it, the identity is read again before anything more is written.
 * VSS_E_PROVIDER_VETO of block_write(): it is not SAME, or has another size. */
struct lun {
    struct block_device block; /* first: block functions take &lun->block */
    struct scsi_transport *session;
    bool owns_session;
    struct lun_address address;
    char *url;                    /* without secrets */
    struct lun_identity identity; /* as read when opened or by lun_identify() */
    uint32_t attentions;          /* the session's when identity was last seen to be right */
    uint64_t reservation_key;     /* 0: none held by this structure */
};

/* Session, identity, ready to read and write. VSS_E_OBJECT_NOT_FOUND also where the LUN number is
 * not there. Read-only opens refuse every write locally. An array that is about to overwrite a LUN
 * closes every session of its target once: one that is closed before the LUN has said who it is is
 * opened anew, three times at most. */
HRESULT lun_open(const char *url, const struct lun_options *options, bool read_only,
                 struct lun **out, struct error *err);

/* A new session for a LUN whose own was closed by the target. S_OK: it is the LUN that it was, and
 * lun goes on with it; S_FALSE: its session was not closed, or is not its own.
 * VSS_E_OBJECT_NOT_FOUND also where another LUN, or one of another size, is there by now: lun stays
 * as it was. Not for a LUN on whose session something depends: a registration, a write that was
 * begun. */
HRESULT lun_renew(struct lun *lun, const struct lun_options *options, struct error *err);

/* label_read(), LABEL_FULL; where the target closes the session meanwhile, over as lun_renew(). */
struct label;
HRESULT lun_read_label(struct lun *lun, const struct lun_options *options, struct label **out,
                       struct error *err);

/* As lun_open() on a session that is open already and stays its owner's. */
HRESULT lun_open_on(struct scsi_transport *session, const struct lun_address *address,
                    bool read_only, struct lun **out, struct error *err);

/* SendTargets of a portal under these options: see iscsi_discover(). */
HRESULT lun_discover(const char *portal, const struct lun_options *options, char ***out,
                     size_t *out_count, struct error *err);

/* Fills in what the transport alone knows: bus type iSCSI, and the interconnect (target name, LUN).
 */
HRESULT lun_add_interconnect(struct vss_lun_info *info, const char *target, uint64_t lun,
                             struct error *err);

/* Reads the identity again, in the same session: what must be done before the first write to a LUN
 * that was found by its address. Compare with lun_info_compare(). */
HRESULT lun_identify(struct lun *lun, struct error *err);

void lun_close(struct lun *lun); /* NULL is harmless */

#endif
