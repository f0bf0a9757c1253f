/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_PIPELINE_OPS_H
#define LUNSHADOW_LUN_PIPELINE_OPS_H

#include "lun/pipeline.h"

/* For the kinds of pipelines. */

HRESULT pipeline_open_lun(const char *url, const struct pipeline_options *options,
                          struct pipeline **out, struct error *err);
HRESULT pipeline_open_file(const char *path, const struct pipeline_options *options,
                           struct pipeline **out, struct error *err);

/* Ends a request: counts, keeps the first error's text, calls on_done. err may be NULL. */
void pipeline_finish(struct pipeline *pipeline, struct pipeline_request *request, HRESULT result,
                     const struct error *err);

/* Adds a run to runs[] behind those that are there; false where it is full. */
bool pipeline_add_run(struct pipeline *pipeline, uint64_t end, bool is_hole);

/* Parses a GET LBA STATUS answer of which got bytes arrived: takes the descriptors that follow one
 * another from *offset on (which moves behind them); what overlaps, leaves a gap or lies beyond the
 * device is not believed. True where the device has more to say. */
bool pipeline_take_status(struct pipeline *pipeline, const uint8_t *data, uint32_t got,
                          uint64_t *offset);

#endif
