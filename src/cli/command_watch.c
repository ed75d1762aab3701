/* command_watch.c - `watch`: a library again and again, with what has moved since the last look.
 *
 * The library stays open, and others go on writing. On a terminal each look is a screen with all
 * that `status` shows; elsewhere it is one line, or JSON. A signal to end, and a reader of stdout
 * that goes away, are the normal end: the wait between two looks hears both. Signals are let in
 * there alone, so no call of the library is interrupted.
 */
#include "cli/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define INTERVAL_MS 2000
#define INTERVAL_MIN_MS 100
#define INTERVAL_MAX_MS 86400000
#define CLEAR_SCREEN "\033[H\033[2J"

/* What has moved between two snapshots. */
typedef struct movement {
    double seconds; /* between them; 0: there is only one */
    uint64_t rows;
    uint64_t tombstones;
    int64_t rows_change;
    int64_t tombstones_change;
    uint64_t feeds_moved; /* resources with a newer head */
    uint64_t marks_moved; /* marks that are new, gone, or elsewhere */
    uint64_t acks_moved;
} movement;

static const cli_option watch_options[] = {
    {"interval", "SECONDS", "time between two looks, 0.1 to 86400; default 2"},
    {"count", "N", "end after so many looks"},
    {NULL, NULL, NULL},
};

/* ---- what has moved -------------------------------------------------------------------------- */

static int order_marks(const cli_mark *a, const cli_mark *b)
{
    int order = uuid_compare(a->peer, b->peer);

    return order != 0 ? order : strcmp(a->resource, b->resource);
}

/* Both lists are in the same order: a step goes on in the one that is behind, or in both. */
static uint64_t count_moved(const cli_marks *before, const cli_marks *now)
{
    uint64_t moved = 0;
    size_t i = 0;
    size_t j = 0;

    while (i < before->count || j < now->count) {
        int order = i == before->count ? 1
                    : j == now->count  ? -1
                                       : order_marks(&before->items[i], &now->items[j]);

        if (order != 0 || before->items[i].mark.watermark != now->items[j].mark.watermark) {
            moved++;
        }
        i += order <= 0;
        j += order >= 0;
    }
    return moved;
}

/* `before` NULL: nothing has moved. */
static movement compare(const cli_snapshot *before, const cli_snapshot *now, double seconds)
{
    movement m = {.seconds = before != NULL ? seconds : 0};

    for (size_t i = 0; i < now->resource_count; i++) {
        const tide_resource_info *to = &now->resources[i].info;
        const tide_resource_info *from = before != NULL ? &before->resources[i].info : to;

        m.rows += to->rows;
        m.tombstones += to->tombstones;
        m.rows_change += (int64_t)(to->rows - from->rows);
        m.tombstones_change += (int64_t)(to->tombstones - from->tombstones);
        m.feeds_moved += to->head != from->head;
    }
    if (before != NULL) {
        m.marks_moved = count_moved(&before->marks, &now->marks);
        m.acks_moved = count_moved(&before->acks, &now->acks);
    }
    return m;
}

static double per_second(double count, double seconds)
{
    return seconds > 0 ? count / seconds : 0.0;
}

/* ---- a look ---------------------------------------------------------------------------------- */

static void print_header(cli_call *call)
{
    cli_print(call, "%-30s %12s %12s %10s %12s %12s %6s %6s %10s %6s\n", "TIME", "ROWS", "CHANGE",
              "A SECOND", "TOMBSTONES", "CHANGE", "FEEDS", "MARKS", "A SECOND", "ACKS");
}

static void print_movement(cli_call *call, const cli_snapshot *now, const movement *m)
{
    double rows_rate = per_second((double)m->rows_change, m->seconds);
    double marks_rate = per_second((double)m->marks_moved, m->seconds);
    char time[TIDE_TIME_TEXT];

    if (call->json) {
        cli_print_json(
            call,
            json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:f, s:f}", "type",
                      "look", "time", cli_json_time(now->now), "rows", cli_json_count(m->rows),
                      "rows_change", cli_json_signed(m->rows_change), "tombstones",
                      cli_json_count(m->tombstones), "tombstones_change",
                      cli_json_signed(m->tombstones_change), "feeds_moved",
                      cli_json_count(m->feeds_moved), "marks_moved", cli_json_count(m->marks_moved),
                      "acks_moved", cli_json_count(m->acks_moved), "rows_per_second", rows_rate,
                      "marks_per_second", marks_rate, "seconds", m->seconds));
        return;
    }
    tide_time_format(now->now, time);
    cli_print(call,
              "%-30s %12" PRIu64 " %+12" PRId64 " %10.1f %12" PRIu64 " %+12" PRId64 " %6" PRIu64
              " %6" PRIu64 " %10.1f %6" PRIu64 "\n",
              time, m->rows, m->rows_change, rows_rate, m->tombstones, m->tombstones_change,
              m->feeds_moved, m->marks_moved, marks_rate, m->acks_moved);
}

typedef struct watching {
    cli_call *call;
    cli_library library;
    cli_snapshot before;
    bool looked; /* there is one before */
    bool terminal;
    uint64_t interval_ms;
    uint64_t count; /* looks that are left; 0: no end */
    double looked_at;
} watching;

static int look(watching *w)
{
    cli_call *call = w->call;
    cli_snapshot now;
    double at = cli_elapsed(call);
    int rc = cli_snapshot_take(&w->library, &now);

    if (rc == CLI_YES) {
        movement m = compare(w->looked ? &w->before : NULL, &now, at - w->looked_at);

        if (w->terminal) {
            cli_print(call, CLEAR_SCREEN);
        }
        if (w->terminal || call->json) {
            cli_snapshot_print(&w->library, &now);
        }
        if (w->terminal) {
            cli_print(call, "\n");
        }
        if (!call->json && (w->terminal || !w->looked)) {
            print_header(call);
        }
        print_movement(call, &now, &m);
        cli_output_flush(call);
    }
    cli_snapshot_free(&w->before);
    w->before = now;
    w->looked = true;
    w->looked_at = at;
    return rc;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

/* SIGINT and SIGTERM wait until ppoll lets them in; *waiting is the mask that does. */
static void hold_signals(sigset_t *waiting)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t held;

    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    sigprocmask(SIG_BLOCK, &held, waiting);
    sigdelset(waiting, SIGINT);
    sigdelset(waiting, SIGTERM);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN; /* a write tells it, too */
    sigaction(SIGPIPE, &action, NULL);
}

/* Waits for the next look. false: this is the end. */
static bool wait_on(const watching *w, const sigset_t *waiting)
{
    struct pollfd output = {.fd = STDOUT_FILENO}; /* errors and hang-ups only */
    struct timespec time = {.tv_sec = (time_t)(w->interval_ms / 1000),
                            .tv_nsec = (long)(w->interval_ms % 1000) * 1000000};
    int ready = ppoll(&output, 1, &time, waiting);

    return !ended && (ready == 0 || (ready < 0 && errno == EINTR));
}

static int read_settings(watching *w)
{
    const char *interval = cli_option_value(w->call, "interval");
    const char *count = cli_option_value(w->call, "count");
    int rc = CLI_YES;

    if (interval != NULL) {
        rc = cli_read_seconds(w->call, "--interval", interval, INTERVAL_MIN_MS, INTERVAL_MAX_MS,
                              &w->interval_ms);
    }
    if (rc == CLI_YES && count != NULL) {
        rc = cli_read_count(w->call, "--count", count, 1, INT64_MAX, &w->count);
    }
    return rc;
}

static int run_watch(cli_call *call)
{
    cli_library_request request = {.path = call->operands[0]};
    watching w = {.call = call, .interval_ms = INTERVAL_MS};
    sigset_t waiting;
    int rc = read_settings(&w);

    if (rc != CLI_YES) {
        return rc;
    }
    hold_signals(&waiting);
    call->reader_may_go = true;
    w.terminal = !call->json && isatty(STDOUT_FILENO);
    cli_progress_begin(call);
    rc = cli_library_open(call, &request, &w.library);
    while (rc == CLI_YES) {
        rc = look(&w);
        if (rc != CLI_YES || call->output_errno != 0 || (w.count > 0 && --w.count == 0) ||
            !wait_on(&w, &waiting)) {
            break;
        }
    }
    cli_snapshot_free(&w.before);
    cli_library_close(&w.library);
    return rc;
}

const cli_command cli_command_watch = {
    .name = "watch",
    .operands = "LIBRARY",
    .options = watch_options,
    .summary = "Shows a library again and again, and what has moved meanwhile.",
    .run = run_watch,
};
