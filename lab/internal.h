/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LAB_INTERNAL_H
#define LUNSHADOW_LAB_INTERNAL_H

#include "lab/lab.h"

/* lab.conf: what a later process must know to find or clear this lab. Mounts, loop devices and the
 * process behind the socket are asked of the kernel, so a death between two steps loses nothing. */
HRESULT lab_state_create(const struct lab *lab, struct error *err); /* fails where one is there */
HRESULT lab_state_save(const struct lab *lab, struct error *err);
HRESULT lab_state_load(const char *directory, struct lab **out, struct error *err);
void lab_state_remove(const struct lab *lab);

/* storage.c: where the disks lie. Falls back to the plain directory, with a line in the log. */
HRESULT lab_storage_up(struct lab *lab, const struct lab_options *options, struct error *err);
HRESULT lab_storage_down(struct lab *lab, struct error *err);
bool lab_storage_is_mounted(const struct lab *lab);

/* Thaws a frozen one: a process that writes to it cannot even be killed before. */
void lab_storage_thaw(const struct lab *lab);

/* tgtd.c: the process. */
HRESULT lab_tgtd_start(struct lab *lab, bool detached, struct error *err);
HRESULT lab_tgtd_restart(struct lab *lab, struct error *err);
HRESULT lab_tgtd_stop(struct lab *lab, struct error *err);
void lab_tgtd_find(struct lab *lab);                /* sets tgtd_pid, 0 where none lives */
char *lab_tgtd_control_path(const struct lab *lab); /* the socket's file name; malloc'ed */

/* tree.c: removes everything below directory (not itself) except the name keep at its top; follows
 * no symbolic link and enters no other filesystem. */
HRESULT lab_tree_clear(const char *directory, const char *keep, struct error *err);

/* True where directory is empty. */
HRESULT lab_tree_is_empty(const char *directory, bool *out, struct error *err);

/* Room for the lab of an absolute directory, nothing started; NULL when memory is short. */
struct lab *lab_new(const char *directory);

#endif
