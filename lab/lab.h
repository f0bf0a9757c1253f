/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LAB_LAB_H
#define LUNSHADOW_LAB_LAB_H

#include "common/error.h"
#include "common/process.h"

#include <stdbool.h>
#include <stdint.h>

/* A private iSCSI array for drills and tests: one tgtd of our own on a loopback port, its disks
 * files in one directory, which is an XFS with reflink on a loop device where we are root. It never
 * touches a tgtd it did not start: own control port, own socket (TGT_IPC_SOCKET inside the
 * directory), lab.conf with the process's id and start time. */
struct lab_options {
    const char *directory; /* an empty or absent directory, which becomes ours alone (0700); its
                              parent exists; everything of the lab lies below it. No comma in its
                              path, which is at most 90 bytes (a socket's name must fit) */
    uint64_t image_bytes;  /* size of the (sparse) image that holds the filesystem; 0: 16 GiB; at
                              least  512 MiB; ignored with a plain directory */
    bool plain_directory;  /* no loop mount even as root: copies are full copies, unless the
                              directory's own filesystem can clone */
    bool detached;        /* keeps running after this process; else tgtd dies with the *thread* that
                             called lab_up(): call it from one that lives as long as the lab */
    bool stock_allocator; /* tgtd's memory as its C library manages it by itself. Else the lab tells
                             it to keep what a command's buffer took: commands of 128 KiB and more
                             are four times as fast */
};

struct lab {
    char *directory;       /* absolute, no symbolic link in it */
    char *disks;           /* where LUN files go: directory/disks, the mount point */
    char *image;           /* directory/disks.img */
    char *socket;          /* value for TGT_IPC_SOCKET */
    uint32_t control_port; /* tgtadm -C */
    uint16_t port;
    char portal[32];  /* "127.0.0.1:PORT" */
    bool has_reflink; /* FICLONE works on disks */
    bool stock_allocator;
    bool is_mounted;     /* disks is the loop-mounted image */
    bool made_directory; /* lab_up() made directory, so lab_down() removes it */
    struct process tgtd; /* pidfd -1 where lab_attach() found it */
    pid_t tgtd_pid;      /* 0 where lab_attach() found none alive */
    uint64_t tgtd_start; /* its start time as in /proc/PID/stat: with the pid, who it is */
    uint32_t busy_ms;    /* how long lab_down() waits for what uses disks; 60 s unless changed */
};

/* Starts one. On failure nothing is left behind. Where root cannot mount a loop device (a
 * container), it goes on in the plain directory and the log says why. *out is ended by lab_down()
 * or, for a detached one that shall go on, lab_detach(). E_INVALIDARG: a directory that is not
 * empty or not fit, image_bytes; E_ACCESSDENIED: not our directory; VSS_E_UNEXPECTED: tgtd does not
 * start or is not installed. Blocks up to 60 s for tgtd to answer. */
HRESULT lab_up(const struct lab_options *options, struct lab **out, struct error *err);

/* What a crash of the array is: tgtd is killed, and started again at the same portal with nothing
 * to serve, no reservation and no session. LUNs are served again by lab_add_lun(). Not for a lab
 * that lab_attach() found. VSS_E_UNEXPECTED: it does not start, or the portal was taken meanwhile;
 * then none runs, and lab_down() is all that can be done. Blocks as lab_up(); call it from a thread
 * that lives as long as the lab. */
HRESULT lab_restart(struct lab *lab, struct error *err);

/* Finds the lab of a directory, running or not: tgtd_pid is 0 where its tgtd is gone (lab_down()
 * then clears what is left). VSS_E_OBJECT_NOT_FOUND where none is; E_ACCESSDENIED where it is
 * another user's; E_INVALIDARG where its lab.conf cannot be understood. */
HRESULT lab_attach(const char *directory, struct lab **out, struct error *err);

/* Stops tgtd, unmounts, removes the loop device, image, socket and all below directory, and
 * directory where lab_up() made it. Continues past failures and names the first thing that stayed;
 * then lab.conf stays too, so that lab_attach() and lab_down() can be tried again. Frees lab. Also
 * mends a lab whose tgtd died or is stopped (SIGSTOP), or whose filesystem is frozen or
 * shut down. NULL is harmless. */
HRESULT lab_down(struct lab *lab, struct error *err);
void lab_detach(struct lab *lab); /* frees the structure, the lab goes on; NULL is harmless */

/* What is served. */
struct lab_lun_options {
    const char *target;   /* iSCSI name; made when it is not there yet, bound to all initiators at
                             127.0.0.1 unless initiator is given */
    uint32_t lun;         /* 1..16383 (0 is tgtd's controller) */
    const char *file;     /* name below disks; made sparse when it is not there */
    uint64_t bytes;       /* size for a new file: a multiple of block_bytes */
    uint32_t block_bytes; /* 512 or 4096 */
    const char *scsi_id;  /* 32 hex digits; NULL: a fresh one (6001405 + random); "": tgtd's factory
                             default, which is not unique */
    const char *serial;   /* 1..36 letters and digits; NULL: a fresh one; "": factory default */
    const char *initiator; /* initiator name a new target is bound to; NULL: see target */
};

/* A new target is bound last, so that nobody ever sees a LUN with factory ids; a LUN added to a
 * target that is bound already shows them for a moment. On failure what was made is gone again.
 * E_INVALIDARG for what is out of range; VSS_E_OBJECT_ALREADY_EXISTS where the LUN number is taken.
 */
HRESULT lab_add_lun(struct lab *lab, const struct lab_lun_options *options, struct error *err);

/* The file stays. VSS_E_OBJECT_NOT_FOUND for an unknown target, here and below. */
HRESULT lab_remove_lun(struct lab *lab, const char *target, uint32_t lun, struct error *err);

/* Deletes the target with its LUNs and sessions; the files stay. */
HRESULT lab_remove_target(struct lab *lab, const char *target, struct error *err);

/* Unbinds every initiator and address from the target and closes its sessions: nobody sees it.
 * Succeeds only when no session is left (waits up to 5 s). */
HRESULT lab_mask_target(struct lab *lab, const char *target, struct error *err);

/* Binds again what lab_mask_target() unbound; 127.0.0.1 where nothing is remembered. */
HRESULT lab_unmask_target(struct lab *lab, const char *target, struct error *err);

/* Runs tgtadm against this lab, up to 10 s. arguments are NULL-terminated, without program, -C and
 * --lld. Never call it while tgtd is stopped: it blocks until its time is over. */
HRESULT lab_tgtadm(struct lab *lab, const char *const arguments[], struct buffer *out,
                   struct error *err);

/* What tgtadm --op show --mode target prints; for status and leftovers checks. */
HRESULT lab_show(struct lab *lab, struct buffer *out, struct error *err);

/* The configuration file text for using this lab: [writers] with a directory of its own, [portal
 * lab], [array lab] provider = tgt, ... */
HRESULT lab_config(const struct lab *lab, struct buffer *out);

/* The same with a limit of one's own to how long I/O may be held, 10 to 10000 ms; a lab's is the
 * longest, so that no set fails because its host is busy. */
HRESULT lab_config_with(const struct lab *lab, uint32_t max_hold_ms, struct buffer *out);

#endif
