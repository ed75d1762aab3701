/* Devices whose history is not what the others have seen of it: pruned deletions, databases and
 * stores restored, lost or copied alone or together, peers wiped; and rows that differ though they
 * should not. Whole libraries in folders, restored by copying files. */
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support_library.h"

/* ---- libraries ---------------------------------------------------------------------------------- */

static test_device a, b, c;
static uint32_t page_rows; /* of sessions; 0: as many as they take by themselves */
static bool unproven;      /* digests are not looked at */

static uint64_t tombstones(const test_device *s)
{
    tide_resource_info info = {.size = sizeof info};

    ck_assert_int_eq(tide_sync_resource_info(test_device_sync(s), "entry", &info), TIDE_OK);
    return info.tombstones;
}

/* ---- sessions ----------------------------------------------------------------------------------- */

/* Flips a bit in the digest that ends a page, if one does. */
static void falsify(unsigned char *bytes, size_t size)
{
    if (size > 19 && bytes[1] == 3 && bytes[size - 1] == 0xc3 && bytes[size - 19] == 0xc4)
        bytes[size - 2] ^= 1;
}

static bool carry(test_device *from, test_device *to)
{
    unsigned char copy[TEST_MESSAGE_MAX];
    size_t size = 0;
    char detail[256] = "";
    int rc;

    if (!test_device_says(from, copy, &size))
        return false;
    if (from->lies)
        falsify(copy, size);
    rc = tide_session_receive(to->session, copy, size);
    tide_sync_detail(test_device_sync(to), detail, sizeof detail);
    ck_assert_msg(rc == TIDE_OK, "%s hears %s: %s", to->path, tide_code_name(rc), detail);
    return true;
}

static void open_sessions(test_device *x, test_device *y)
{
    uuid_t peers[2];
    tide_session_options options;

    tide_session_options_init(&options);
    options.page_rows = page_rows == 0 ? options.page_rows : page_rows;
    options.prove = !unproven;
    test_uuid(peers[0], x->number);
    test_uuid(peers[1], y->number);
    options.peer = peers[1];
    ck_assert_int_eq(tide_session_open(test_device_sync(x), &options, &x->session), TIDE_OK);
    options.peer = peers[0];
    ck_assert_int_eq(tide_session_open(test_device_sync(y), &options, &y->session), TIDE_OK);
}

/* Until both are silent, message by message; returns how many there were. */
static unsigned talk_on(test_device *x, test_device *y)
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

static unsigned talk(test_device *x, test_device *y)
{
    open_sessions(x, y);
    return talk_on(x, y);
}

static unsigned meet(test_device *x, test_device *y)
{
    unsigned messages = talk(x, y);

    test_hang_up_complete(x, y);
    return messages;
}

static void set_up(void)
{
    page_rows = 0;
    unproven = false;
    test_device_open(&a, "A", 1, NULL);
    test_device_open(&b, "B", 2, NULL);
    test_device_open(&c, "C", 3, NULL);
}

static void tear_down(void)
{
    test_device_close(&a);
    test_device_close(&b);
    test_device_close(&c);
}

static void forget(const test_device *s, const test_device *peer)
{
    uuid_t device;

    test_uuid(device, peer->number);
    ck_assert_int_eq(tide_sync_remove_peer(test_device_sync(s), device), TIDE_OK);
}

/* ---- pruning ------------------------------------------------------------------------------------ */

START_TEST(what_all_have_is_pruned)
{
    test_entry_add(&a, "x");
    test_entry_add(&a, "y");
    meet(&a, &b);
    meet(&a, &c);
    test_entry_delete(&a, "x");
    ck_assert_uint_eq(test_prune(&a), 0); /* nobody has it */
    meet(&a, &b);
    ck_assert_uint_eq(test_prune(&a), 0); /* C has not */
    ck_assert_uint_eq(tombstones(&a), 1);
    meet(&a, &c);
    ck_assert_uint_eq(test_prune(&a), 1);
    ck_assert_uint_eq(tombstones(&a), 0);
    ck_assert_uint_eq(test_prune(&a), 0);
    meet(&a, &b);
    meet(&b, &c);
    test_entries_are(&a, "y");
    test_entries_are(&b, "y");
    test_entries_are(&c, "y");
}
END_TEST

START_TEST(nobody_to_wait_for)
{
    test_entry_add(&a, "x");
    test_entry_delete(&a, "x");
    ck_assert_uint_eq(test_prune(&a), 1);
    meet(&a, &b);
    test_entries_are(&b, "");
}
END_TEST

/* A deletes x while C is away and forgotten. C comes back with x and with something new. */
START_TEST(who_comes_from_below_reads_all_and_sweeps)
{
    test_entry_add(&a, "x");
    test_entry_add(&a, "y");
    meet(&a, &b);
    meet(&b, &c);
    meet(&a, &c);
    forget(&a, &c);
    forget(&b, &c);
    test_entry_delete(&a, "x");
    meet(&a, &b);
    ck_assert_uint_eq(test_prune(&a), 1);
    ck_assert_uint_eq(test_prune(&b), 1);
    test_entry_add(&c, "z");
    meet(&c, &a);
    test_entries_are(&c, "y z");
    test_entries_are(&a, "y z");
    meet(&c, &b);
    meet(&a, &b);
    test_entries_are(&b, "y z");
    meet(&a, &c);                       /* A reads C again, because C has swept */
    ck_assert_uint_eq(meet(&a, &c), 4); /* nothing is left to say */
}
END_TEST

/* The same, but C has x from B alone, and meets only B. */
START_TEST(sweeping_goes_on_to_those_behind)
{
    test_entry_add(&a, "x");
    test_entry_add(&a, "y");
    meet(&a, &b);
    meet(&b, &c);
    forget(&b, &a);
    test_entry_delete(&a, "x");
    forget(&a, &b);
    ck_assert_uint_eq(test_prune(&a), 1);
    meet(&a, &b); /* B is below: it sweeps, without a tombstone */
    test_entries_are(&b, "y");
    meet(&b, &c);
    test_entries_are(&c, "y");
}
END_TEST

/* What it writes next is newer than what anybody has written, in the same millisecond too. */
static void writes_last(const test_device *device)
{
    test_device_sql(device, "UPDATE tidemark_state SET floor = (strftime('%s', 'now') + 2) * "
                            "1000000000");
}

/* B's page with its own x is under way when A deletes x. B hears of that, and A that it did, by
 * messages that overtake the page; so A forgets the deletion. */
static void page_from_before_a_pruning(bool asked_again)
{
    const char *tags = "SELECT count(*) AS it FROM tags";
    unsigned char page[TEST_MESSAGE_MAX];
    size_t size = 0;

    test_device_sql(&a, "INSERT INTO tags (uuid, name) VALUES ('x', 'of A')");
    meet(&a, &b);
    test_device_sql(&b, "UPDATE tags SET name = 'of B'");
    unproven = true;
    open_sessions(&a, &b);
    ck_assert(carry(&a, &b));
    ck_assert(carry(&b, &a));
    ck_assert(test_device_says(&b, page, &size));
    writes_last(&a);
    test_device_sql(&a, "DELETE FROM tags");
    ck_assert(carry(&a, &b));
    test_query_is(&b, "0", tags);
    ck_assert(carry(&b, &a));
    ck_assert(carry(&a, &b));
    ck_assert_uint_eq(test_prune(&a), 1);
    if (asked_again) {
        tide_session_tick(a.session, INT64_C(10000000000));
        ck_assert(carry(&a, &b));
    }
    ck_assert_int_eq(tide_session_receive(a.session, page, size), TIDE_OK);
    talk_on(&a, &b);
    test_hang_up_complete(&a, &b);
    meet(&a, &b);
    test_query_is(&a, "0", tags);
    test_query_is(&b, "0", tags);
}

START_TEST(a_page_from_before_a_pruning_is_left)
{
    page_from_before_a_pruning(false);
}
END_TEST

START_TEST(a_page_from_before_a_pruning_does_not_answer_what_was_asked_since)
{
    page_from_before_a_pruning(true);
}
END_TEST

/* A's own names are unique, so what B made of x waits there, and still does when A deletes x. */
START_TEST(what_is_parked_does_not_outlast_the_deletion)
{
    unproven = true;
    test_device_sql(&a, "CREATE UNIQUE INDEX names ON tags (name)");
    test_device_sql(&a, "INSERT INTO tags (uuid, name) VALUES ('x', 'of A'), ('y', 'taken')");
    meet(&a, &b);
    test_device_sql(&b, "UPDATE tags SET name = 'taken' WHERE uuid = 'x'");
    talk(&a, &b);
    test_query_is(&a, "x", "SELECT key AS it FROM tidemark_parked");
    writes_last(&a);
    test_device_sql(&a, "DELETE FROM tags WHERE uuid = 'x'");
    tide_session_notify(a.session);
    talk_on(&a, &b);
    test_query_is(&b, "y", "SELECT uuid AS it FROM tags");
    ck_assert_uint_eq(test_prune(&a), 1);
    test_hang_up(&a, &b);
    test_device_sql(&a, "UPDATE tags SET name = 'free'");
    meet(&a, &b);
    test_query_is(&a, "y", "SELECT uuid AS it FROM tags");
}
END_TEST

/* What B made of x is newer than the deletion that is forgotten: it goes on waiting. */
START_TEST(what_is_parked_and_newer_outlasts_the_deletion)
{
    unproven = true;
    test_device_sql(&a, "CREATE UNIQUE INDEX names ON tags (name)");
    test_device_sql(&a, "INSERT INTO tags (uuid, name) VALUES ('x', 'of A'), ('y', 'taken')");
    meet(&a, &b);
    test_device_sql(&a, "DELETE FROM tags WHERE uuid = 'x'");
    writes_last(&b);
    test_device_sql(&b, "UPDATE tags SET name = 'taken' WHERE uuid = 'x'");
    talk(&a, &b);
    test_hang_up(&a, &b);
    test_query_is(&a, "x", "SELECT key AS it FROM tidemark_parked");
    test_query_is(&b, "x y", "SELECT uuid AS it FROM tags ORDER BY uuid");
    ck_assert_uint_eq(test_prune(&a), 1);
    test_device_sql(&a, "UPDATE tags SET name = 'free'");
    meet(&a, &b);
    test_query_is(&a, "x y", "SELECT uuid AS it FROM tags ORDER BY uuid");
}
END_TEST

START_TEST(a_key_that_comes_back_lives)
{
    test_entry_add(&a, "x");
    meet(&a, &b);
    test_entry_delete(&a, "x");
    meet(&a, &b);
    ck_assert_uint_eq(test_prune(&a), 1);
    test_entry_add(&a, "x");
    meet(&a, &b);
    test_entries_are(&b, "x");
    ck_assert_uint_eq(test_prune(&b), 0); /* the tombstone gave way to the row */
}
END_TEST

/* ---- restored ----------------------------------------------------------------------------------- */

START_TEST(a_database_restored_alone)
{
    test_entry_add(&a, "x");
    meet(&a, &b);
    test_device_back_up_rows(&a);
    test_entry_add(&a, "y");
    meet(&a, &b);
    meet(&b, &c);
    test_device_restore_rows(&a);
    test_entries_are(&a, "x");
    test_entry_add(&a, "z");
    talk(&a, &b);
    ck_assert_uint_eq(a.notices, 2); /* that it was, and that it is over */
    test_hang_up(&a, &b);
    ck_assert_int_eq(tide_sync_is_recovering(test_device_sync(&a)), 0);
    meet(&a, &b);
    test_entries_are(&a, "x y z");
    test_entries_are(&b, "x y z");
    meet(&b, &c);
    test_entries_are(&c, "x y z");
    test_device_reopen(&a);
    meet(&a, &b);
    ck_assert_uint_eq(a.notices, 0);
}
END_TEST

/* Nothing here contradicts itself: only the peer knows that there was more. */
START_TEST(everything_restored_together)
{
    test_entry_add(&a, "x");
    meet(&a, &b);
    test_device_back_up(&a);
    test_entry_add(&a, "y");
    meet(&a, &b);
    test_device_restore(&a);
    meet(&a, &b);
    ck_assert_uint_eq(a.notices, 2);
    test_entries_are(&a, "x y");
    meet(&a, &b);
    test_entries_are(&b, "x y");
}
END_TEST

/* B has all of A, is READY at once and asks nothing more; A notices, by what it had acknowledged,
 * that it has fallen. B hears of the new epoch by A's questions, or A would go on falling. */
START_TEST(everything_restored_is_read_in_pages)
{
    test_entry_add(&a, "x");
    test_entry_add(&b, "u");
    test_entry_add(&b, "v");
    meet(&a, &b);
    test_entry_add(&a, "y");
    test_device_back_up(&a);
    meet(&a, &b);
    meet(&a, &b); /* A says that it has what B took */
    test_device_restore(&a);
    page_rows = 1;
    meet(&a, &b);
    ck_assert_uint_eq(a.notices, 2);
    ck_assert_int_eq(tide_sync_is_recovering(test_device_sync(&a)), 0);
    test_entries_are(&a, "u v x y");
    meet(&a, &b);
    test_entries_are(&b, "u v x y");
}
END_TEST

/* A's first question is under way when B's shows that A has fallen. Its answer leaves out what came
 * from A before, and must not count. */
START_TEST(everything_restored_before_the_peer_was_met)
{
    unsigned char late[1024];
    const void *bytes = NULL;
    size_t size = 0;

    test_entry_add(&a, "x");
    test_device_back_up(&a);
    test_entry_add(&a, "lost");
    meet(&a, &b);
    test_device_restore(&a);
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
    test_entries_are(&a, "lost x");
    test_hang_up(&a, &b);
}
END_TEST

/* As before, but A has written something new: its head is beyond what B has seen. One meeting does. */
START_TEST(everything_restored_and_written_to)
{
    test_entry_add(&a, "x");
    meet(&a, &b);
    test_device_back_up(&a);
    test_entry_add(&a, "y");
    test_entry_delete(&a, "x");
    meet(&a, &b);
    test_device_restore(&a);
    test_entry_add(&a, "z");
    meet(&a, &b);
    test_entries_are(&a, "y z");
    test_entries_are(&b, "y z");
}
END_TEST

/* B is in a full read of A when A's feed begins anew, and has nothing pruned. */
START_TEST(a_full_read_of_a_feed_that_begins_anew)
{
    test_entry_add(&a, "x");
    test_entry_add(&a, "y");
    test_entry_add(&a, "z");
    meet(&a, &b);
    test_device_back_up_rows(&a);
    forget(&a, &b);
    test_entry_delete(&a, "y");
    ck_assert_uint_eq(test_prune(&a), 1);
    page_rows = 1;
    open_sessions(&a, &b);
    for (int i = 0; i < 3; i++) {
        carry(&a, &b);
        carry(&b, &a);
    }
    test_hang_up(&a, &b);
    test_device_restore_rows(&a);
    meet(&a, &b);
    meet(&a, &b);
    test_entries_are(&b, "x y z");
    test_entries_are(&a, "x y z");
}
END_TEST

START_TEST(a_deletion_that_was_forgotten_stays_one)
{
    test_entry_add(&a, "x");
    test_entry_add(&a, "y");
    meet(&a, &b);
    meet(&a, &c);
    test_device_back_up(&b);
    test_entry_delete(&a, "x");
    meet(&a, &b);
    meet(&a, &c);
    ck_assert_uint_eq(test_prune(&a), 1);
    test_device_restore(&b);
    test_entries_are(&b, "x y");
    meet(&b, &a);
    test_entries_are(&b, "y");
    test_entries_are(&a, "y");
    meet(&b, &c);
    test_entries_are(&c, "y");
}
END_TEST

START_TEST(a_store_lost_or_older)
{
    test_entry_add(&a, "x");
    meet(&a, &b);
    test_device_close(&b);
    test_shell("cp B/sync.mdb old.mdb");
    test_device_open(&b, "B", 2, NULL);
    test_entry_add(&a, "y");
    meet(&a, &b);
    for (int i = 0; i < 2; i++) {
        test_device_close(&b);
        test_shell(i == 0 ? "rm B/sync.mdb" : "cp old.mdb B/sync.mdb");
        test_device_open(&b, "B", 2, NULL);
        test_entry_add(&a, i == 0 ? "p" : "q");
        meet(&a, &b);
        ck_assert_uint_eq(b.notices, 0);
    }
    test_entries_are(&b, "p q x y");
}
END_TEST

/* The device is made anew under its old id: it gets its own rows back. */
START_TEST(a_wiped_device_gets_its_rows_back)
{
    test_entry_add(&a, "x");
    test_entry_add(&b, "of b");
    meet(&a, &b);
    test_device_close(&a);
    test_shell("rm -r A");
    test_device_open(&a, "A", 1, NULL);
    test_entry_add(&a, "new");
    meet(&a, &b);
    test_entries_are(&a, "new of b x");
    test_entries_are(&b, "new of b x");
}
END_TEST

/* All that there are were rolled back: somebody must say that it is all right. */
START_TEST(nobody_is_left_to_read_from)
{
    test_entry_add(&a, "x");
    meet(&a, &b);
    test_device_close(&a);
    test_device_close(&b);
    test_shell("cp A/database.db a.db && cp B/database.db b.db");
    test_device_open(&a, "A", 1, NULL);
    test_device_open(&b, "B", 2, NULL);
    test_entry_add(&a, "y");
    test_entry_add(&b, "z");
    meet(&a, &b);
    test_device_close(&a);
    test_device_close(&b);
    test_shell("rm -f ?/*-wal ?/*-shm && cp a.db A/database.db && cp b.db B/database.db");
    test_device_open(&a, "A", 1, NULL);
    test_device_open(&b, "B", 2, NULL);
    test_entry_add(&a, "p");
    test_entry_add(&b, "q");
    talk(&a, &b);
    test_hang_up(&a, &b);
    test_entries_are(&a, "p q x");
    test_entries_are(&b, "p q x");
    ck_assert_int_eq(tide_sync_is_recovering(test_device_sync(&a)), 1);
    ck_assert_int_eq(tide_sync_is_recovering(test_device_sync(&b)), 1);
    talk(&c, &a);
    test_hang_up(&c, &a);
    test_entries_are(&c, ""); /* nobody healthy is served */
    ck_assert_int_eq(tide_sync_accept(test_device_sync(&a)), TIDE_OK);
    ck_assert_int_eq(tide_sync_is_recovering(test_device_sync(&a)), 0);
    ck_assert_int_eq(tide_sync_accept(test_device_sync(&a)), TIDE_OK);
    meet(&a, &b);
    ck_assert_int_eq(tide_sync_is_recovering(test_device_sync(&b)), 0);
    meet(&a, &c);
    test_entries_are(&c, "p q x");
}
END_TEST

/* One that waits is told when it is over. */
START_TEST(who_was_told_to_wait_is_served_later)
{
    test_entry_add(&a, "x");
    meet(&a, &b);
    test_device_back_up_rows(&a);
    test_entry_add(&a, "y");
    meet(&a, &b);
    test_device_restore_rows(&a);
    test_entry_add(&a, "z");
    talk(&a, &c);
    test_entries_are(&c, "");
    test_hang_up(&a, &c);
    meet(&a, &b);
    test_entries_are(&b, "x y z");
    meet(&a, &c);
    test_entries_are(&c, "x y z");
}
END_TEST

/* A copy of A lives beside it, under its id; both write, and C meets both in turn. */
START_TEST(a_device_that_lives_twice)
{
    test_device twin;

    test_entry_add(&a, "x");
    meet(&a, &c);
    test_device_close(&a);
    test_shell("cp -r A T");
    test_device_open(&a, "A", 1, NULL);
    test_device_open(&twin, "T", 1, NULL);
    test_entry_add(&twin, "t1");
    test_entry_add(&a, "a1");
    test_entry_add(&a, "a2");
    meet(&a, &c);
    talk(&twin, &c);
    test_hang_up(&twin, &c);
    for (int i = 0; i < 2; i++) {
        talk(&a, &c);
        test_hang_up(&a, &c);
        talk(&twin, &c);
        test_hang_up(&twin, &c);
    }
    test_entries_are(&c, "a1 a2 t1 x");
    test_entries_are(&a, "a1 a2 t1 x");
    test_entries_are(&twin, "a1 a2 t1 x");
    test_device_close(&twin);
}
END_TEST

/* ---- proof -------------------------------------------------------------------------------------- */

/* REPLACE takes a row away that had the key, and tells no trigger. */
START_TEST(a_row_that_was_replaced_in_silence)
{
    test_entry_add(&a, "x");
    test_entry_add(&a, "y");
    meet(&a, &b);
    test_device_sql(&a, "INSERT OR REPLACE INTO entries (uuid, name) VALUES ('x', 'another')");
    meet(&a, &b);
    test_entries_are(&b, "x y");
    ck_assert_uint_eq(a.diverged + b.diverged, 0);
}
END_TEST

/* Rows vanish behind everybody's back. */
START_TEST(rows_that_differ_are_read_again)
{
    test_entry_add(&a, "x");
    test_entry_add(&a, "y");
    meet(&a, &b);
    test_device_sql(&b,
                    "UPDATE tidemark_state SET applying = 1; DELETE FROM entries WHERE uuid = 'x';"
                    "DELETE FROM tidemark_entry_rows WHERE key = 'x';"
                    "UPDATE tidemark_state SET applying = 0");
    test_entries_are(&b, "y");
    meet(&a, &b);
    test_entries_are(&b, "x y");
    ck_assert_uint_eq(b.diverged, 0);
    /* And at the device that made them. */
    test_device_sql(&a,
                    "UPDATE tidemark_state SET applying = 1; DELETE FROM entries WHERE uuid = 'x';"
                    "DELETE FROM tidemark_entry_rows WHERE key = 'x';"
                    "UPDATE tidemark_state SET applying = 0");
    test_entry_add(&a, "z");
    meet(&a, &b);
    test_entries_are(&a, "x y z");
    test_entries_are(&b, "x y z");
}
END_TEST

START_TEST(what_goes_on_differing_is_told)
{
    test_entry_add(&a, "x");
    meet(&a, &b);
    a.lies = true;
    talk(&a, &b);
    ck_assert_uint_eq(tide_session_diverged(b.session), 1);
    ck_assert_uint_eq(b.diverged, 1);
    test_hang_up(&a, &b);
    test_entries_are(&b, "x");
}
END_TEST

/* Both doubt at the same time, and each waits for the other's next question. */
START_TEST(an_exchange_goes_on_until_the_last_look)
{
    uuid_t peers[2];
    tide_session_options options;
    tide_pipe *pipe = NULL;

    test_entry_add(&a, "x");
    meet(&a, &b);
    test_device_sql(
        &b, "CREATE TRIGGER falls AFTER UPDATE OF version ON tidemark_entry_rows BEGIN UPDATE "
            "tidemark_entry_rows SET version = version - 1 WHERE row = new.row; END;"
            "UPDATE tidemark_entry_rows SET version = version - 1");
    tide_session_options_init(&options);
    test_uuid(peers[0], a.number);
    test_uuid(peers[1], b.number);
    options.peer = peers[1];
    ck_assert_int_eq(tide_session_open(test_device_sync(&a), &options, &a.session), TIDE_OK);
    options.peer = peers[0];
    ck_assert_int_eq(tide_session_open(test_device_sync(&b), &options, &b.session), TIDE_OK);
    ck_assert_int_eq(tide_pipe_open(b.session, NULL, &pipe), TIDE_OK);
    ck_assert_int_eq(
        tide_sync_exchange_watermarks_and_catchup(a.session, tide_pipe_transport(pipe)), TIDE_OK);
    ck_assert_uint_ge(a.diverged + b.diverged, 1);
    tide_pipe_close(pipe);
    test_hang_up(&a, &b);
}
END_TEST

/* However the rows change, what is kept is what a count from nothing gives. */
START_TEST(the_digest_is_kept_rightly)
{
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "k%d", i % 7);
        test_entry_add(&a, name);
        meet(&a, &b);
        test_device_sql(&a, "UPDATE entries SET size = ifnull(size, 0) + 1 WHERE uuid > 'k3'");
        meet(&a, &b);
        snprintf(name, sizeof name, "k%d", (i * 5) % 7);
        test_entry_delete(&a, name);
        if (i % 2 == 0)
            meet(&a, &b);
        snprintf(name, sizeof name, "k%d", (i + 1) % 7);
        test_entry_delete(&a, name);
    }
    test_device_sql(
        &a, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "
            "INSERT INTO entries (uuid, name) SELECT 'many' || i, i FROM n");
    meet(&a, &b); /* kept anew on both sides */
    test_device_sql(&a, "UPDATE entries SET name = 'other' WHERE uuid LIKE 'many%1'");
    test_device_sql(&a, "DELETE FROM entries WHERE uuid LIKE 'many%2'");
    test_device_sql(&a, "UPDATE entries SET uuid = 'new' || uuid WHERE uuid LIKE 'many%3'");
    test_device_sql(&a, "INSERT OR REPLACE INTO entries (uuid, name) VALUES ('many4', 'replaced')");
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
    ck_assert_int_eq(tide_sync_prune(test_device_sync(&a), NULL), TIDE_OK);
    ck_assert_int_eq(tide_sync_remove_peer(test_device_sync(&a), nobody), TIDE_ABSENT);
    ck_assert_int_eq(tide_sync_remove_peer(test_device_sync(&a), NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_peers(test_device_sync(&a), NULL, NULL), TIDE_EINVAL);
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

    ck_assert_int_eq(tide_sync_peers(test_device_sync(&a), list_peer, text), TIDE_OK);
    ck_assert_str_eq(text, "");
    meet(&a, &b);
    meet(&a, &c);
    ck_assert_int_eq(tide_sync_peers(test_device_sync(&a), list_peer, text), TIDE_OK);
    ck_assert_msg(strcmp(text, "2 3 ") == 0 || strcmp(text, "3 2 ") == 0, "%s", text);
    forget(&a, &b);
    text[0] = '\0';
    ck_assert_int_eq(tide_sync_peers(test_device_sync(&a), list_peer, text), TIDE_OK);
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
    tcase_add_test(test, a_page_from_before_a_pruning_is_left);
    tcase_add_test(test, a_page_from_before_a_pruning_does_not_answer_what_was_asked_since);
    tcase_add_test(test, what_is_parked_does_not_outlast_the_deletion);
    tcase_add_test(test, what_is_parked_and_newer_outlasts_the_deletion);
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
