/* tidemark/tidemark.h - everything at once.
 *
 * In libtidemark (pkg-config tidemark): error.h, time.h, store.h, and watermarks.h over LMDB.
 * In libtidemark-sync (pkg-config tidemark-sync): watermarks.h over SQLite, model.h, sync.h,
 * session.h, transport.h, library.h.
 */
#ifndef TIDEMARK_TIDEMARK_H
#define TIDEMARK_TIDEMARK_H

#include <tidemark/backup.h>
#include <tidemark/error.h>
#include <tidemark/library.h>
#include <tidemark/model.h>
#include <tidemark/session.h>
#include <tidemark/store.h>
#include <tidemark/sync.h>
#include <tidemark/time.h>
#include <tidemark/transport.h>
#include <tidemark/version.h>
#include <tidemark/watermarks.h>

#endif
