/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_MOUNT_NAMESPACE_H
#define LUNSHADOW_TESTS_MOUNT_NAMESPACE_H

#include <stdbool.h>

/* Gives this process a mount namespace of its own. It keeps none of what other tests have mounted
 * beside directory, which could not take that down as long as this process lives. False, with
 * errno: it cannot be had. Where "/" is no mount, nothing is private yet, and all is kept. */
bool mount_namespace_enter(const char *directory);

#endif
