/* model.h - a registered model: its names checked against the table, its statements prepared.
 *
 * Everything of a model that SQL needs is made here once; feed and apply only bind and step.
 */
#ifndef TIDEMARK_SYNC_MODEL_H
#define TIDEMARK_SYNC_MODEL_H

#include "sync/engine.h"

/* Copies and checks; nothing is written. */
int tide__model_make(tide_sync *sync, const tide_model *model, tide__model **out);

/* Prepares the statements; the capture tables must exist. */
int tide__model_prepare(tide_sync *sync, tide__model *model);

void tide__model_free(tide__model *model); /* NULL is allowed */

/* The models in dependency order: by registration where nothing else decides. `order` has room for
 * TIDE_MODELS_MAX. TIDE_OK; TIDE_ECYCLE; TIDE_EMODEL. */
int tide__model_order(tide_sync *sync, tide__model **order);

/* The newest stamp of a model's feed, 0 if it is empty, and up to where it is pruned, or 0. */
int tide__model_head(tide_sync *sync, tide__model *model, tide_time *head, tide_time *pruned);

/* The newest of all heads; 0 if all feeds are empty. */
int tide__model_newest(tide_sync *sync, tide_time *newest);

#endif
