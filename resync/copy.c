/* SPDX-License-Identifier: Apache-2.0 */
#include "resync/copy.h"

HRESULT recovery_copy(struct recovery *r, struct error *err)
{
    return copy_in_array(r, err);
}
