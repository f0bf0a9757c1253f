/* SPDX-License-Identifier: Apache-2.0 */

/* The per-thread rule of CoInitializeEx. */
#include <lunshadow/requester.h>

#define MODEL_BITS COINIT_APARTMENTTHREADED
#define ALL_BITS   (MODEL_BITS | COINIT_DISABLE_OLE1DDE | COINIT_SPEED_OVER_MEMORY)

static _Thread_local struct {
    uint32_t successes; /* not taken back yet */
    uint32_t model;
} apartment;

HRESULT vss_co_initialize_ex(void *reserved, uint32_t concurrency)
{
    uint32_t model = concurrency & MODEL_BITS;
    if (reserved || (concurrency & ~(uint32_t)ALL_BITS) || apartment.successes == UINT32_MAX) {
        return E_INVALIDARG;
    }
    if (apartment.successes > 0 && apartment.model != model) {
        return RPC_E_CHANGED_MODE;
    }
    apartment.model = model;
    return apartment.successes++ == 0 ? S_OK : S_FALSE;
}

void vss_co_uninitialize(void)
{
    if (apartment.successes > 0) {
        apartment.successes--;
    }
}
