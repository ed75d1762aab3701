/* prometheus.c - writes the text format of Prometheus, and a library's figures in it.
 *
 * Every figure is what a call of the library has just answered. What a process counts since it
 * began is left out: this one has only just begun. Ages are left to whoever reads: time() less the
 * time of a sample.
 */
#include "cli/prometheus.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/snapshot.h"

#define NS_PER_S 1000000000

void cli_metric(cli_call *call, const char *name, const char *type, const char *help)
{
    cli_print(call, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_label(cli_call *call, char before, const cli_label *label)
{
    char *escaped = malloc(2 * strlen(label->value) + 1);
    char *to = escaped;

    if (escaped == NULL) {
        cli_print_json(call, NULL); /* remembers that there was no memory */
        return;
    }
    for (const char *at = label->value; *at != '\0'; at++) {
        if (*at == '\\' || *at == '"' || *at == '\n') {
            *to++ = '\\';
        }
        *to++ = (char)(*at == '\n' ? 'n' : *at);
    }
    *to = '\0';
    cli_print(call, "%c%s=\"%s\"", before, label->name, escaped);
    free(escaped);
}

static void print_labels(cli_call *call, const char *name, const cli_label labels[CLI_LABELS_MAX])
{
    char before = '{';

    cli_print(call, "%s", name);
    for (size_t i = 0; i < CLI_LABELS_MAX && labels[i].name != NULL; i++) {
        print_label(call, before, &labels[i]);
        before = ',';
    }
    cli_print(call, "%s ", before == ',' ? "}" : "");
}

void cli_sample_count(cli_call *call, const char *name, const cli_label labels[CLI_LABELS_MAX],
                      uint64_t value)
{
    print_labels(call, name, labels);
    cli_print(call, "%" PRIu64 "\n", value);
}

void cli_sample_time(cli_call *call, const char *name, const cli_label labels[CLI_LABELS_MAX],
                     tide_time value)
{
    uint64_t ns = value < 0 ? (uint64_t)0 - (uint64_t)value : (uint64_t)value;

    print_labels(call, name, labels);
    cli_print(call, "%s%" PRIu64 ".%09" PRIu64 "\n", value < 0 ? "-" : "", ns / NS_PER_S,
              ns % NS_PER_S);
}

/* ---- a library ------------------------------------------------------------------------------- */

typedef struct page {
    cli_call *call;
    const cli_snapshot *snapshot;
    char device[CLI_UUID_TEXT];
} page;

static void print_library(const page *p, const cli_library *library)
{
    char id[CLI_UUID_TEXT];
    cli_label labels[CLI_LABELS_MAX] = {
        {"device", p->device}, {"library", id}, {"path", library->shown_path}};

    cli_uuid_text(library->id, id);
    cli_metric(p->call, "tidemark_library_info", "gauge", "The library and its device; always 1.");
    cli_sample_count(p->call, "tidemark_library_info", labels, 1);
    labels[1].name = NULL;
    cli_metric(p->call, "tidemark_recovering", "gauge",
               "1 while everything is read again after a rollback, else 0.");
    cli_sample_count(p->call, "tidemark_recovering", labels, p->snapshot->recovering ? 1 : 0);
}

static void print_rows(const page *p)
{
    static const char *const names[] = {"tidemark_rows", "tidemark_tombstones", "tidemark_parked",
                                        "tidemark_head_timestamp_seconds"};
    static const char *const helps[] = {"Rows alive.", "Deleted rows that are remembered.",
                                        "Rows of peers that cannot be written and are kept.",
                                        "Stamp of the newest change; none while there are no rows."};

    for (size_t i = 0; i < 4; i++) {
        cli_metric(p->call, names[i], "gauge", helps[i]);
        for (size_t j = 0; j < p->snapshot->resource_count; j++) {
            const cli_resource *r = &p->snapshot->resources[j];
            const cli_label labels[CLI_LABELS_MAX] = {{"device", p->device}, {"resource", r->name}};
            const uint64_t counts[] = {r->info.rows, r->info.tombstones, r->info.parked};

            if (i < 3) {
                cli_sample_count(p->call, names[i], labels, counts[i]);
            } else if (r->info.head != TIDE_TIME_NONE) {
                cli_sample_time(p->call, names[i], labels, r->info.head);
            }
        }
    }
}

static void print_peers(const page *p)
{
    static const char *const names[] = {"tidemark_peer_info",
                                        "tidemark_peer_first_seen_timestamp_seconds",
                                        "tidemark_peer_contact_timestamp_seconds"};
    static const char *const helps[] = {
        "A registered peer and what it is called; always 1.", "When the peer was first heard.",
        "When a session with the peer was last through; none before."};

    for (size_t i = 0; i < 3; i++) {
        cli_metric(p->call, names[i], "gauge", helps[i]);
        for (size_t j = 0; j < p->snapshot->peer_count; j++) {
            const cli_peer *q = &p->snapshot->peers[j];
            char peer[CLI_UUID_TEXT];
            cli_label labels[CLI_LABELS_MAX] = {{"device", p->device}, {"peer", peer}};

            cli_uuid_text(q->peer.device, peer);
            if (i == 0) {
                labels[2] = (cli_label){"name", q->name != NULL ? q->name : ""};
                cli_sample_count(p->call, names[i], labels, 1);
            } else if (i == 1) {
                cli_sample_time(p->call, names[i], labels, q->peer.since);
            } else if (q->peer.contact != TIDE_TIME_NONE) {
                cli_sample_time(p->call, names[i], labels, q->peer.contact);
            }
        }
    }
}

/* One time of each mark: what it says, or when it was written. */
static void print_marks(const page *p, const cli_marks *marks, const char *name, const char *help,
                        bool written)
{
    cli_metric(p->call, name, "gauge", help);
    for (size_t i = 0; i < marks->count; i++) {
        const cli_mark *m = &marks->items[i];
        char peer[CLI_UUID_TEXT];
        const cli_label labels[CLI_LABELS_MAX] = {
            {"device", p->device}, {"peer", peer}, {"resource", m->resource}};

        cli_uuid_text(m->peer, peer);
        cli_sample_time(p->call, name, labels, written ? m->mark.updated_at : m->mark.watermark);
    }
}

static void print_behind(const page *p)
{
    const cli_snapshot *s = p->snapshot;

    cli_metric(p->call, "tidemark_peer_behind_rows", "gauge",
               "Rows and deletions here that the peer has not acknowledged.");
    for (size_t i = 0; i < s->peer_count; i++) {
        const unsigned char *device = s->peers[i].peer.device;
        char peer[CLI_UUID_TEXT];

        cli_uuid_text(device, peer);
        for (size_t j = 0; j < s->resource_count; j++) {
            const cli_resource *r = &s->resources[j];
            const cli_label labels[CLI_LABELS_MAX] = {
                {"device", p->device}, {"peer", peer}, {"resource", r->name}};

            cli_sample_count(p->call, "tidemark_peer_behind_rows", labels,
                             cli_behind(r, cli_snapshot_ack(s, device, r->name)));
        }
    }
}

void cli_snapshot_print_metrics(const cli_library *library, const cli_snapshot *snapshot)
{
    page p = {.call = library->call, .snapshot = snapshot};

    cli_uuid_text(library->device, p.device);
    print_library(&p, library);
    print_rows(&p);
    print_peers(&p);
    print_marks(&p, &snapshot->marks, "tidemark_mark_timestamp_seconds",
                "Stamp at the peer up to which everything is here.", false);
    print_marks(&p, &snapshot->marks, "tidemark_mark_updated_timestamp_seconds",
                "When that mark was last written.", true);
    print_marks(&p, &snapshot->acks, "tidemark_ack_timestamp_seconds",
                "Stamp here up to which the peer has told that it has everything.", false);
    print_behind(&p);
}
