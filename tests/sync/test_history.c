/* Devices whose history is not what the others have seen of it: pruned deletions, databases and
 * stores restored, lost or copied alone or together, peers wiped; and rows that differ though they
 * should not. Whole libraries in folders, restored by copying files. */
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tidemark/tidemark.h>

#include "support.h"

/* ---- libraries ---------------------------------------------------------------------------------- */

#define LIBRARY 9

typedef struct side {
    char path[8];
    uint64_t number;
    tide_library *library;
    tide_session *session;
    unsigned notices;
    unsigned diverged;
    bool lies; /* about digests */
} side;

static side a, b, c;
static uint32_t page_rows; /* of sessions; 0: as many as they take by themselves */
static bool unproven;      /* digests are not looked at */

static void on_event(void *ctx, const tide_event *event)
{
    side *s = ctx;

    s->notices += event->kind == TIDE_EVENT_NOTICE;
    s->diverged += event->kind == TIDE_EVENT_DIVERGED;
}

static void open_side(side *s, const char *path, uint64_t number)
{
    char detail[256] = "";
    uuid_t device, id;
    tide_library_options options;
    tide_sync_options sync;

    memset(s, 0, sizeof *s);
    snprintf(s->path, sizeof s->path, "%s", path);
    s->number = number;
    test_uuid(device, number);
    test_uuid(id, LIBRARY);
    tide_library_options_init(&options);
    tide_sync_options_init(&sync);
    options.flags = TIDE_CREATE_LIBRARY;
    options.sync = &sync;
    sync.device = device;
    sync.library = id;
    sync.event = on_event;
    sync.event_ctx = s;
    sync.detail = detail;
    sync.detail_bytes = sizeof detail;
    ck_assert_msg(tide_library_open(path, &options, &s->library) == TIDE_OK, "%s", detail);
}

static void close_side(side *s)
{
    tide_library_close(s->library);
    s->library = NULL;
}

static void reopen(side *s)
{
    side again = *s;

    close_side(s);
    open_side(s, again.path, again.number);
}

static tide_sync *sync_of(const side *s)
{
    return tide_library_sync(s->library);
}

static void shell(const char *command)
{
    ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): cp and rm in the test's folder */
}

static void run_sql(const side *s, const char *sql)
{
    char *why = NULL;
    int rc = sqlite3_exec(tide_sync_database(sync_of(s)), sql, NULL, NULL, &why);

    ck_assert_msg(rc == SQLITE_OK, "%s", why);
}

static void add(const side *s, const char *name)
{
    char sql[256];

    snprintf(sql, sizeof sql, "INSERT INTO entries (uuid, name) VALUES ('%s', '%s')", name, name);
    run_sql(s, sql);
}

static void take(const side *s, const char *name)
{
    char sql[256];

    snprintf(sql, sizeof sql, "DELETE FROM entries WHERE uuid = '%s'", name);
    run_sql(s, sql);
}

/* The keys that live, in order, with a blank between them. */
static void has(const side *s, const char *expected)
{
    sqlite3_stmt *statement = NULL;
    const char *got;

    ck_assert_int_eq(sqlite3_prepare_v2(tide_sync_database(sync_of(s)),
                                        "SELECT ifnull(group_concat(uuid, ' '), '') FROM "
                                        "(SELECT uuid FROM entries ORDER BY uuid)",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    got = (const char *)sqlite3_column_text(statement, 0);
    ck_assert_msg(strcmp(got, expected) == 0, "%s has \"%s\", not \"%s\"", s->path, got, expected);
    sqlite3_finalize(statement);
}

static uint64_t tombstones(const side *s)
{
    tide_resource_info info = {.size = sizeof info};

    ck_assert_int_eq(tide_sync_resource_info(sync_of(s), "entry", &info), TIDE_OK);
    return info.tombstones;
}

/* ---- sessions ----------------------------------------------------------------------------------- */

/* Flips a bit in the digest that ends a page, if one does. */
static void falsify(unsigned char *bytes, size_t size)
{
    if (size > 19 && bytes[1] == 3 && bytes[size - 1] == 0xc3 && bytes[size - 19] == 0xc4)
        bytes[size - 2] ^= 1;
}

static bool carry(side *from, side *to)
{
    unsigned char copy[65536];
    const void *bytes = NULL;
    size_t size = 0;
    char detail[256] = "";
    int rc = tide_session_next(from->session, &bytes, &size);

    if (rc == TIDE_ABSENT)
        return false;
    tide_sync_detail(sync_of(from), detail, sizeof detail);
    ck_assert_msg(rc == TIDE_OK, "%s says %s: %s", from->path, tide_code_name(rc), detail);
    ck_assert_uint_le(size, sizeof copy);
    memcpy(copy, bytes, size);
    if (from->lies)
        falsify(copy, size);
    rc = tide_session_receive(to->session, copy, size);
    tide_sync_detail(sync_of(to), detail, sizeof detail);
    ck_assert_msg(rc == TIDE_OK, "%s hears %s: %s", to->path, tide_code_name(rc), detail);
    return true;
}

static void open_sessions(side *x, side *y)
{
    uuid_t peers[2];
    tide_session_options options;

    tide_session_options_init(&options);
    options.page_rows = page_rows == 0 ? options.page_rows : page_rows;
    options.prove = !unproven;
    test_uuid(peers[0], x->number);
    test_uuid(peers[1], y->number);
    options.peer = peers[1];
    ck_assert_int_eq(tide_session_open(sync_of(x), &options, &x->session), TIDE_OK);
    options.peer = peers[0];
    ck_assert_int_eq(tide_session_open(sync_of(y), &options, &y->session), TIDE_OK);
}

/* Until both are silent, message by message; returns how many there were. */
static unsigned talk_on(side *x, side *y)
{
    unsigned messages = 0;

    while (messages < 1000) {
        unsigned before = messages;
        messages += carry(x, y);
        messages += carry(y, x);
        if (messages == before)
            break;
    }
    ck_assert_uint_lt(messages, 1000);
    return messages;
}

static unsigned talk(side *x, side *y)
{
    open_sessions(x, y);
    return talk_on(x, y);
}

static void hang_up(side *x, side *y)
{
    tide_session_close(x->session);
    tide_session_close(y->session);
    x->session = y->session = NULL;
}

static unsigned meet(side *x, side *y)
{
    unsigned messages = talk(x, y);

    ck_assert_int_eq(tide_session_is_complete(x->session), 1);
    ck_assert_int_eq(tide_session_is_complete(y->session), 1);
    ck_assert_uint_eq(tide_session_diverged(x->session), 0);
    ck_assert_uint_eq(tide_session_diverged(y->session), 0);
    hang_up(x, y);
    return messages;
}

static void set_up(void)
{
    page_rows = 0;
    unproven = false;
    open_side(&a, "A", 1);
    open_side(&b, "B", 2);
    open_side(&c, "C", 3);
}

static void tear_down(void)
{
    close_side(&a);
    close_side(&b);
    close_side(&c);
}

static uint64_t prune(const side *s)
{
    uint64_t pruned = 0;

    ck_assert_int_eq(tide_sync_prune(sync_of(s), &pruned), TIDE_OK);
    return pruned;
}

static void forget(const side *s, const side *peer)
{
    uuid_t device;

    test_uuid(device, peer->number);
    ck_assert_int_eq(tide_sync_remove_peer(sync_of(s), device), TIDE_OK);
}

/* ---- pruning ------------------------------------------------------------------------------------ */

START_TEST(what_all_have_is_pruned)
{
    add(&a, "x");
    add(&a, "y");
    meet(&a, &b);
    meet(&a, &c);
    take(&a, "x");
    ck_assert_uint_eq(prune(&a), 0); /* nobody has it */
    meet(&a, &b);
    ck_assert_uint_eq(prune(&a), 0); /* C has not */
    ck_assert_uint_eq(tombstones(&a), 1);
    meet(&a, &c);
    ck_assert_uint_eq(prune(&a), 1);
    ck_assert_uint_eq(tombstones(&a), 0);
    ck_assert_uint_eq(prune(&a), 0);
    meet(&a, &b);
    meet(&b, &c);
    has(&a, "y");
    has(&b, "y");
    has(&c, "y");
}
END_TEST

START_TEST(nobody_to_wait_for)
{
    add(&a, "x");
    take(&a, "x");
    ck_assert_uint_eq(prune(&a), 1);
    meet(&a, &b);
    has(&b, "");
}
END_TEST

/* A deletes x while C is away and forgotten. C comes back with x and with something new. */
START_TEST(who_comes_from_below_reads_all_and_sweeps)
{
    add(&a, "x");
    add(&a, "y");
    meet(&a, &b);
    meet(&b, &c);
    meet(&a, &c);
    forget(&a, &c);
    forget(&b, &c);
    take(&a, "x");
    meet(&a, &b);
    ck_assert_uint_eq(prune(&a), 1);
    ck_assert_uint_eq(prune(&b), 1);
    add(&c, "z");
    meet(&c, &a);
    has(&c, "y z");
    has(&a, "y z");
    meet(&c, &b);
    meet(&a, &b);
    has(&b, "y z");
    meet(&a, &c);                       /* A reads C again, because C has swept */
    ck_assert_uint_eq(meet(&a, &c), 4); /* nothing is left to say */
}
END_TEST

/* The same, but C has x from B alone, and meets only B. */
START_TEST(sweeping_goes_on_to_those_behind)
{
    add(&a, "x");
    add(&a, "y");
    meet(&a, &b);
    meet(&b, &c);
    forget(&b, &a);
    take(&a, "x");
    forget(&a, &b);
    ck_assert_uint_eq(prune(&a), 1);
    meet(&a, &b); /* B is below: it sweeps, without a tombstone */
    has(&b, "y");
    meet(&b, &c);
    has(&c, "y");
}
END_TEST

START_TEST(a_key_that_comes_back_lives)
{
    add(&a, "x");
    meet(&a, &b);
    take(&a, "x");
    meet(&a, &b);
    ck_assert_uint_eq(prune(&a), 1);
    add(&a, "x");
    meet(&a, &b);
    has(&b, "x");
    ck_assert_uint_eq(prune(&b), 0); /* the tombstone gave way to the row */
}
END_TEST

/* ---- restored ----------------------------------------------------------------------------------- */

START_TEST(a_database_restored_alone)
{
    add(&a, "x");
    meet(&a, &b);
    close_side(&a);
    shell("cp A/database.db backup.db");
    open_side(&a, "A", 1);
    add(&a, "y");
    meet(&a, &b);
    meet(&b, &c);
    close_side(&a);
    shell("rm -f A/database.db-wal A/database.db-shm && cp backup.db A/database.db");
    open_side(&a, "A", 1);
    has(&a, "x");
    add(&a, "z");
    talk(&a, &b);
    ck_assert_uint_eq(a.notices, 2); /* that it was, and that it is over */
    hang_up(&a, &b);
    ck_assert_int_eq(tide_sync_is_recovering(sync_of(&a)), 0);
    meet(&a, &b);
    has(&a, "x y z");
    has(&b, "x y z");
    meet(&b, &c);
    has(&c, "x y z");
    reopen(&a);
    meet(&a, &b);
    ck_assert_uint_eq(a.notices, 0);
}
END_TEST

/* Nothing here contradicts itself: only the peer knows that there was more. */
START_TEST(everything_restored_together)
{
    add(&a, "x");
    meet(&a, &b);
    close_side(&a);
    shell("cp -r A backup");
    open_side(&a, "A", 1);
    add(&a, "y");
    meet(&a, &b);
    close_side(&a);
    shell("rm -r A && mv backup A");
    open_side(&a, "A", 1);
    meet(&a, &b);
    ck_assert_uint_eq(a.notices, 2);
    has(&a, "x y");
    meet(&a, &b);
    has(&b, "x y");
}
END_TEST

/* B has all of A, is READY at once and asks nothing more; A notices, by what it had acknowledged,
 * that it has fallen. B hears of the new epoch by A's questions, or A would go on falling. */
START_TEST(everything_restored_is_read_in_pages)
{
    add(&a, "x");
    add(&b, "u");
    add(&b, "v");
    meet(&a, &b);
    add(&a, "y");
    close_side(&a);
    shell("cp -r A backup");
    open_side(&a, "A", 1);
    meet(&a, &b);
    meet(&a, &b); /* A says that it has what B took */
    close_side(&a);
    shell("rm -r A && mv backup A");
    open_side(&a, "A", 1);
    page_rows = 1;
    meet(&a, &b);
    ck_assert_uint_eq(a.notices, 2);
    ck_assert_int_eq(tide_sync_is_recovering(sync_of(&a)), 0);
    has(&a, "u v x y");
    meet(&a, &b);
    has(&b, "u v x y");
}
END_TEST

/* A's first question is under way when B's shows that A has fallen. Its answer leaves out what came
 * from A before, and must not count. */
START_TEST(everything_restored_before_the_peer_was_met)
{
    unsigned char late[1024];
    const void *bytes = NULL;
    size_t size = 0;

    add(&a, "x");
    close_side(&a);
    shell("cp -r A backup");
    open_side(&a, "A", 1);
    add(&a, "lost");
    meet(&a, &b);
    close_side(&a);
    shell("rm -r A && mv backup A");
    open_side(&a, "A", 1);
    unproven = true;
    open_sessions(&a, &b);
    carry(&a, &b);
    carry(&b, &a);
    ck_assert_int_eq(tide_session_next(b.session, &bytes, &size), TIDE_OK); /* it is on its way */
    ck_assert_uint_le(size, sizeof late);
    memcpy(late, bytes, size);
    carry(&a, &b); /* the page of the new epoch, */
    carry(&a, &b); /* and its question */
    ck_assert_int_eq(tide_session_receive(a.session, late, size), TIDE_OK);
    talk_on(&a, &b);
    ck_assert_uint_eq(a.notices, 2);
    has(&a, "lost x");
    hang_up(&a, &b);
}
END_TEST

/* As before, but A has written something new: its head is beyond what B has seen. One meeting does. */
START_TEST(everything_restored_and_written_to)
{
    add(&a, "x");
    meet(&a, &b);
    close_side(&a);
    shell("cp -r A backup");
    open_side(&a, "A", 1);
    add(&a, "y");
    take(&a, "x");
    meet(&a, &b);
    close_side(&a);
    shell("rm -r A && mv backup A");
    open_side(&a, "A", 1);
    add(&a, "z");
    meet(&a, &b);
    has(&a, "y z");
    has(&b, "y z");
}
END_TEST

/* B is in a full read of A when A's feed begins anew, and has nothing pruned. */
START_TEST(a_full_read_of_a_feed_that_begins_anew)
{
    add(&a, "x");
    add(&a, "y");
    add(&a, "z");
    meet(&a, &b);
    close_side(&a);
    shell("cp A/database.db backup.db");
    open_side(&a, "A", 1);
    forget(&a, &b);
    take(&a, "y");
    ck_assert_uint_eq(prune(&a), 1);
    page_rows = 1;
    open_sessions(&a, &b);
    for (int i = 0; i < 3; i++) {
        carry(&a, &b);
        carry(&b, &a);
    }
    hang_up(&a, &b);
    close_side(&a);
    shell("cp backup.db A/database.db");
    open_side(&a, "A", 1);
    meet(&a, &b);
    meet(&a, &b);
    has(&b, "x y z");
    has(&a, "x y z");
}
END_TEST

START_TEST(a_deletion_that_was_forgotten_stays_one)
{
    add(&a, "x");
    add(&a, "y");
    meet(&a, &b);
    meet(&a, &c);
    close_side(&b);
    shell("cp -r B backup");
    open_side(&b, "B", 2);
    take(&a, "x");
    meet(&a, &b);
    meet(&a, &c);
    ck_assert_uint_eq(prune(&a), 1);
    close_side(&b);
    shell("rm -r B && mv backup B");
    open_side(&b, "B", 2);
    has(&b, "x y");
    meet(&b, &a);
    has(&b, "y");
    has(&a, "y");
    meet(&b, &c);
    has(&c, "y");
}
END_TEST

START_TEST(a_store_lost_or_older)
{
    add(&a, "x");
    meet(&a, &b);
    close_side(&b);
    shell("cp B/sync.mdb old.mdb");
    open_side(&b, "B", 2);
    add(&a, "y");
    meet(&a, &b);
    for (int i = 0; i < 2; i++) {
        close_side(&b);
        shell(i == 0 ? "rm B/sync.mdb" : "cp old.mdb B/sync.mdb");
        open_side(&b, "B", 2);
        add(&a, i == 0 ? "p" : "q");
        meet(&a, &b);
        ck_assert_uint_eq(b.notices, 0);
    }
    has(&b, "p q x y");
}
END_TEST

/* The device is made anew under its old id: it gets its own rows back. */
START_TEST(a_wiped_device_gets_its_rows_back)
{
    add(&a, "x");
    add(&b, "of b");
    meet(&a, &b);
    close_side(&a);
    shell("rm -r A");
    open_side(&a, "A", 1);
    add(&a, "new");
    meet(&a, &b);
    has(&a, "new of b x");
    has(&b, "new of b x");
}
END_TEST

/* All that there are were rolled back: somebody must say that it is all right. */
START_TEST(nobody_is_left_to_read_from)
{
    add(&a, "x");
    meet(&a, &b);
    close_side(&a);
    close_side(&b);
    shell("cp A/database.db a.db && cp B/database.db b.db");
    open_side(&a, "A", 1);
    open_side(&b, "B", 2);
    add(&a, "y");
    add(&b, "z");
    meet(&a, &b);
    close_side(&a);
    close_side(&b);
    shell("rm -f ?/*-wal ?/*-shm && cp a.db A/database.db && cp b.db B/database.db");
    open_side(&a, "A", 1);
    open_side(&b, "B", 2);
    add(&a, "p");
    add(&b, "q");
    talk(&a, &b);
    hang_up(&a, &b);
    has(&a, "p q x");
    has(&b, "p q x");
    ck_assert_int_eq(tide_sync_is_recovering(sync_of(&a)), 1);
    ck_assert_int_eq(tide_sync_is_recovering(sync_of(&b)), 1);
    talk(&c, &a);
    hang_up(&c, &a);
    has(&c, ""); /* nobody healthy is served */
    ck_assert_int_eq(tide_sync_accept(sync_of(&a)), TIDE_OK);
    ck_assert_int_eq(tide_sync_is_recovering(sync_of(&a)), 0);
    ck_assert_int_eq(tide_sync_accept(sync_of(&a)), TIDE_OK);
    meet(&a, &b);
    ck_assert_int_eq(tide_sync_is_recovering(sync_of(&b)), 0);
    meet(&a, &c);
    has(&c, "p q x");
}
END_TEST

/* One that waits is told when it is over. */
START_TEST(who_was_told_to_wait_is_served_later)
{
    add(&a, "x");
    meet(&a, &b);
    close_side(&a);
    shell("cp A/database.db backup.db");
    open_side(&a, "A", 1);
    add(&a, "y");
    meet(&a, &b);
    close_side(&a);
    shell("rm -f A/database.db-wal A/database.db-shm && cp backup.db A/database.db");
    open_side(&a, "A", 1);
    add(&a, "z");
    talk(&a, &c);
    has(&c, "");
    hang_up(&a, &c);
    meet(&a, &b);
    has(&b, "x y z");
    meet(&a, &c);
    has(&c, "x y z");
}
END_TEST

/* A copy of A lives beside it, under its id; both write, and C meets both in turn. */
START_TEST(a_device_that_lives_twice)
{
    side twin;

    add(&a, "x");
    meet(&a, &c);
    close_side(&a);
    shell("cp -r A T");
    open_side(&a, "A", 1);
    open_side(&twin, "T", 1);
    add(&twin, "t1");
    add(&a, "a1");
    add(&a, "a2");
    meet(&a, &c);
    talk(&twin, &c);
    hang_up(&twin, &c);
    for (int i = 0; i < 2; i++) {
        talk(&a, &c);
        hang_up(&a, &c);
        talk(&twin, &c);
        hang_up(&twin, &c);
    }
    has(&c, "a1 a2 t1 x");
    has(&a, "a1 a2 t1 x");
    has(&twin, "a1 a2 t1 x");
    close_side(&twin);
}
END_TEST

/* ---- proof -------------------------------------------------------------------------------------- */

/* REPLACE takes a row away that had the key, and tells no trigger. */
START_TEST(a_row_that_was_replaced_in_silence)
{
    add(&a, "x");
    add(&a, "y");
    meet(&a, &b);
    run_sql(&a, "INSERT OR REPLACE INTO entries (uuid, name) VALUES ('x', 'another')");
    meet(&a, &b);
    has(&b, "x y");
    ck_assert_uint_eq(a.diverged + b.diverged, 0);
}
END_TEST

/* Rows vanish behind everybody's back. */
START_TEST(rows_that_differ_are_read_again)
{
    add(&a, "x");
    add(&a, "y");
    meet(&a, &b);
    run_sql(&b, "UPDATE tidemark_state SET applying = 1; DELETE FROM entries WHERE uuid = 'x';"
                "DELETE FROM tidemark_entry_rows WHERE key = 'x';"
                "UPDATE tidemark_state SET applying = 0");
    has(&b, "y");
    meet(&a, &b);
    has(&b, "x y");
    ck_assert_uint_eq(b.diverged, 0);
    /* And at the device that made them. */
    run_sql(&a, "UPDATE tidemark_state SET applying = 1; DELETE FROM entries WHERE uuid = 'x';"
                "DELETE FROM tidemark_entry_rows WHERE key = 'x';"
                "UPDATE tidemark_state SET applying = 0");
    add(&a, "z");
    meet(&a, &b);
    has(&a, "x y z");
    has(&b, "x y z");
}
END_TEST

START_TEST(what_goes_on_differing_is_told)
{
    add(&a, "x");
    meet(&a, &b);
    a.lies = true;
    talk(&a, &b);
    ck_assert_uint_eq(tide_session_diverged(b.session), 1);
    ck_assert_uint_eq(b.diverged, 1);
    hang_up(&a, &b);
    has(&b, "x");
}
END_TEST

/* Both doubt at the same time, and each waits for the other's next question. */
START_TEST(an_exchange_goes_on_until_the_last_look)
{
    uuid_t peers[2];
    tide_session_options options;
    tide_pipe *pipe = NULL;

    add(&a, "x");
    meet(&a, &b);
    run_sql(&b, "CREATE TRIGGER falls AFTER UPDATE OF version ON tidemark_entry_rows BEGIN UPDATE "
                "tidemark_entry_rows SET version = version - 1 WHERE row = new.row; END;"
                "UPDATE tidemark_entry_rows SET version = version - 1");
    tide_session_options_init(&options);
    test_uuid(peers[0], a.number);
    test_uuid(peers[1], b.number);
    options.peer = peers[1];
    ck_assert_int_eq(tide_session_open(sync_of(&a), &options, &a.session), TIDE_OK);
    options.peer = peers[0];
    ck_assert_int_eq(tide_session_open(sync_of(&b), &options, &b.session), TIDE_OK);
    ck_assert_int_eq(tide_pipe_open(b.session, NULL, &pipe), TIDE_OK);
    ck_assert_int_eq(
        tide_sync_exchange_watermarks_and_catchup(a.session, tide_pipe_transport(pipe)), TIDE_OK);
    ck_assert_uint_ge(a.diverged + b.diverged, 1);
    tide_pipe_close(pipe);
    hang_up(&a, &b);
}
END_TEST

/* However the rows change, what is kept is what a count from nothing gives. */
START_TEST(the_digest_is_kept_rightly)
{
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "k%d", i % 7);
        add(&a, name);
        meet(&a, &b);
        run_sql(&a, "UPDATE entries SET size = ifnull(size, 0) + 1 WHERE uuid > 'k3'");
        meet(&a, &b);
        snprintf(name, sizeof name, "k%d", (i * 5) % 7);
        take(&a, name);
        if (i % 2 == 0)
            meet(&a, &b);
        snprintf(name, sizeof name, "k%d", (i + 1) % 7);
        take(&a, name);
    }
    run_sql(&a, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "
                "INSERT INTO entries (uuid, name) SELECT 'many' || i, i FROM n");
    meet(&a, &b); /* kept anew on both sides */
    run_sql(&a, "UPDATE entries SET name = 'other' WHERE uuid LIKE 'many%1'");
    run_sql(&a, "DELETE FROM entries WHERE uuid LIKE 'many%2'");
    run_sql(&a, "UPDATE entries SET uuid = 'new' || uuid WHERE uuid LIKE 'many%3'");
    run_sql(&a, "INSERT OR REPLACE INTO entries (uuid, name) VALUES ('many4', 'replaced')");
    meet(&a, &b);
    ck_assert_uint_eq(a.diverged + b.diverged, 0);
}
END_TEST

START_TEST(arguments)
{
    uuid_t nobody;
    uint64_t pruned = 7;

    test_uuid(nobody, 77);
    ck_assert_int_eq(tide_sync_prune(NULL, &pruned), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_prune(sync_of(&a), NULL), TIDE_OK);
    ck_assert_int_eq(tide_sync_remove_peer(sync_of(&a), nobody), TIDE_ABSENT);
    ck_assert_int_eq(tide_sync_remove_peer(sync_of(&a), NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_peers(sync_of(&a), NULL, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_is_recovering(NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_accept(NULL), TIDE_EINVAL);
}
END_TEST

static int list_peer(void *ctx, const tide_peer *peer)
{
    char *text = ctx;
    size_t at = strlen(text);

    for (uint64_t i = 1; i <= 3; i++) {
        uuid_t device;
        test_uuid(device, i);
        if (uuid_compare(device, peer->device) == 0)
            snprintf(text + at, 64 - at, "%u%s ", (unsigned)i,
                     peer->contact == TIDE_TIME_NONE ? " never" : "");
    }
    return 0;
}

START_TEST(peers_are_listed)
{
    char text[64] = "";

    ck_assert_int_eq(tide_sync_peers(sync_of(&a), list_peer, text), TIDE_OK);
    ck_assert_str_eq(text, "");
    meet(&a, &b);
    meet(&a, &c);
    ck_assert_int_eq(tide_sync_peers(sync_of(&a), list_peer, text), TIDE_OK);
    ck_assert_msg(strcmp(text, "2 3 ") == 0 || strcmp(text, "3 2 ") == 0, "%s", text);
    forget(&a, &b);
    text[0] = '\0';
    ck_assert_int_eq(tide_sync_peers(sync_of(&a), list_peer, text), TIDE_OK);
    ck_assert_str_eq(text, "3 ");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync/history");
    TCase *test = test_case(suite, "history");

    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, what_all_have_is_pruned);
    tcase_add_test(test, nobody_to_wait_for);
    tcase_add_test(test, who_comes_from_below_reads_all_and_sweeps);
    tcase_add_test(test, sweeping_goes_on_to_those_behind);
    tcase_add_test(test, a_key_that_comes_back_lives);
    tcase_add_test(test, a_database_restored_alone);
    tcase_add_test(test, everything_restored_together);
    tcase_add_test(test, everything_restored_is_read_in_pages);
    tcase_add_test(test, everything_restored_before_the_peer_was_met);
    tcase_add_test(test, everything_restored_and_written_to);
    tcase_add_test(test, a_full_read_of_a_feed_that_begins_anew);
    tcase_add_test(test, a_deletion_that_was_forgotten_stays_one);
    tcase_add_test(test, a_store_lost_or_older);
    tcase_add_test(test, a_wiped_device_gets_its_rows_back);
    tcase_add_test(test, nobody_is_left_to_read_from);
    tcase_add_test(test, who_was_told_to_wait_is_served_later);
    tcase_add_test(test, a_device_that_lives_twice);
    tcase_add_test(test, a_row_that_was_replaced_in_silence);
    tcase_add_test(test, rows_that_differ_are_read_again);
    tcase_add_test(test, what_goes_on_differing_is_told);
    tcase_add_test(test, an_exchange_goes_on_until_the_last_look);
    tcase_add_test(test, the_digest_is_kept_rightly);
    tcase_add_test(test, arguments);
    tcase_add_test(test, peers_are_listed);
    return test_run(suite);
}
