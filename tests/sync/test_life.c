/* The lives of a database: what a copy shares with the original, and what it does not. Whole
 * libraries in folders, copied as files. */
#include "support_library.h"

static test_device a, b, twin;

static void meet(test_device *x, test_device *y)
{
    test_talk(x, y);
    test_hang_up(x, y);
}

/* A copy of A that goes on under its id. */
static void copy_lives(void)
{
    test_device_close(&a);
    test_shell("cp -r A T");
    test_device_open(&a, "A", 1, NULL);
    test_device_open(&twin, "T", 1, NULL);
}

static void set_up(void)
{
    test_device_open(&a, "A", 1, NULL);
    test_device_open(&b, "B", 2, NULL);
    twin.library = NULL;
}

static void tear_down(void)
{
    test_device_close(&a);
    test_device_close(&b);
    if (twin.library != NULL)
        test_device_close(&twin);
}

/* It forgets a deletion that the other has not heard of. */
static void forget_gone(test_device *device, const test_device *other)
{
    uuid_t peer;

    test_uuid(peer, other->number);
    ck_assert_int_eq(tide_sync_remove_peer(test_device_sync(device), peer), TIDE_OK);
    test_entry_delete(device, "gone");
    ck_assert_uint_eq(test_prune(device), 1);
}

#define LIVES "SELECT count(DISTINCT life) AS it FROM tidemark_lives"

START_TEST(an_opening_begins_a_life_and_keeps_the_last_if_it_was_shown)
{
    test_device_reopen(&a);
    test_query_is(&a, "0", LIVES);
    meet(&a, &b);
    meet(&a, &b);
    test_query_is(&a, "0", LIVES); /* it lasts */
    test_device_reopen(&a);
    test_device_reopen(&a);
    test_query_is(&a, "1", LIVES);
    test_query_is(&a, "1",
                  "SELECT min(s.life > l.life) AS it FROM tidemark_state s, tidemark_lives l");
}
END_TEST

/* At the head that each feed had, and at none that was never shown. */
START_TEST(a_life_ends_where_it_was_seen)
{
    test_entry_add(&a, "x");
    meet(&a, &b);
    test_device_reopen(&a);
    test_query_is(&a, "1",
                  "SELECT ended = (SELECT max(stamp) FROM tidemark_entry_rows) AS it FROM "
                  "tidemark_lives WHERE resource = 'entry'");
    test_query_is(&a, "0", "SELECT ended AS it FROM tidemark_lives WHERE resource = 'volume'");
    meet(&a, &b);
    test_device_sql(&a, "UPDATE tidemark_entry_rows SET stamp = (SELECT until + 1 FROM "
                        "tidemark_state) WHERE key = 'x'");
    test_device_reopen(&a);
    test_query_is(&a, "1",
                  "SELECT ended = max(stamp) - 1 AS it FROM tidemark_lives, tidemark_entry_rows "
                  "WHERE resource = 'entry' AND life = (SELECT max(life) FROM tidemark_lives)");
}
END_TEST

START_TEST(a_thousand_lives_are_kept)
{
    meet(&a, &b);
    test_device_sql(&a, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
                        "1500) INSERT INTO tidemark_lives SELECT i, 'entry', 7 FROM n");
    test_device_reopen(&a);
    test_query_is(&a, "1000", LIVES);
    test_query_is(&a, "502", "SELECT min(life) AS it FROM tidemark_lives");
}
END_TEST

/* Nobody lost anything: the follower begins another following, and that is all. */
START_TEST(a_life_too_long_ago_is_no_lost_one)
{
    test_entry_add(&a, "x");
    meet(&a, &b);
    test_device_reopen(&a);
    meet(&a, &b);
    test_device_reopen(&a);
    test_device_sql(&a, "UPDATE tidemark_state SET forgotten = 5");
    test_device_sql(&b, "UPDATE tidemark_followed SET life = 5");
    test_entry_add(&a, "y");
    meet(&a, &b);
    test_entries_are(&b, "x y");
    ck_assert_uint_eq(a.notices + b.notices, 0);
}
END_TEST

/* B took t from the copy. The original, which never had it, is read in full, because it has
 * forgotten a deletion that B has not heard of: t is in another life, and stays. */
START_TEST(what_came_from_a_copy_is_not_swept)
{
    test_entry_add(&a, "x");
    test_entry_add(&a, "gone");
    meet(&a, &b);
    copy_lives();
    test_entry_add(&twin, "t");
    meet(&b, &twin);
    test_entries_are(&b, "gone t x");
    forget_gone(&a, &b);
    meet(&b, &a);
    test_query_is(&b, "1", "SELECT count(*) AS it FROM entries WHERE uuid = 't'");
    for (int i = 0; i < 2; i++) {
        meet(&b, &twin);
        meet(&b, &a);
    }
    test_query_is(&a, "1", "SELECT count(*) AS it FROM entries WHERE uuid = 't'");
    test_query_is(&twin, "1", "SELECT count(*) AS it FROM entries WHERE uuid = 't'");
}
END_TEST

/* The same, but the original has lived in one life throughout, so B begins anew to follow it in the
 * life in which it began before. The tag makes the copy begin its feed anew. */
START_TEST(nor_where_the_original_lived_on)
{
    test_entry_add(&a, "x");
    test_entry_add(&a, "gone");
    meet(&a, &b);
    test_shell("cp -r A T");
    test_device_open(&twin, "T", 1, NULL);
    test_device_sql(&a, "INSERT INTO tags (uuid, name) VALUES ('o', 'of the original')");
    meet(&b, &a);
    test_entry_add(&twin, "t");
    meet(&b, &twin);
    test_entries_are(&b, "gone t x");
    forget_gone(&a, &b);
    test_device_greet(&a, &b);
    test_device_greet(&b, &a);
    tide_session_pause(a.session); /* it does not hear of t before it is read */
    while (test_carry(&b, &a) || test_carry(&a, &b))
        ;
    test_entries_are(&b, "t x");
    test_hang_up(&a, &b);
}
END_TEST

/* B has all of the original. The copy, which B has never met, reads B in full: what B has seen of
 * the original after the copy was made says nothing about what the copy has made. */
START_TEST(what_a_copy_has_made_is_not_swept)
{
    test_entry_add(&a, "x");
    test_entry_add(&b, "gone");
    meet(&a, &b);
    copy_lives();
    test_entry_add(&twin, "t");
    test_entry_add(&a, "later");
    meet(&a, &b);
    forget_gone(&b, &a);
    meet(&twin, &b);
    test_query_is(&twin, "1", "SELECT count(*) AS it FROM entries WHERE uuid = 't'");
    meet(&twin, &b);
    test_query_is(&b, "1", "SELECT count(*) AS it FROM entries WHERE uuid = 't'");
}
END_TEST

/* What the copy gave to B is not kept back from the original. */
START_TEST(rows_of_a_copy_are_not_left_out)
{
    test_entry_add(&a, "x");
    meet(&a, &b);
    copy_lives();
    test_entry_add(&twin, "t");
    meet(&b, &twin);
    test_device_greet(&a, &b);
    test_device_greet(&b, &a);
    ck_assert(test_carry(&a, &b)); /* it asks, before B does */
    ck_assert(test_carry(&b, &a));
    ck_assert(test_carry(&b, &a));
    test_query_is(&a, "1", "SELECT count(*) AS it FROM entries WHERE uuid = 't'");
    test_hang_up(&a, &b);
}
END_TEST

/* B talks with both at once. The page of the copy was made for what B had of the original before B
 * took more of it, and is no part of the same following. */
START_TEST(pages_of_both_at_once_are_not_one_following)
{
    test_device beside;

    test_entry_add(&a, "x");
    meet(&a, &b);
    copy_lives();
    test_entry_add(&a, "o");
    test_entry_add(&twin, "t");
    beside = b;
    test_device_greet(&b, &a);
    test_device_greet(&a, &b);
    test_device_greet(&beside, &twin);
    test_device_greet(&twin, &beside);
    ck_assert(test_carry(&b, &a));
    ck_assert(test_carry(&beside, &twin));
    while (test_carry(&a, &b))
        ;
    test_entries_are(&b, "o x");
    while (test_carry(&twin, &beside))
        ;
    test_entries_are(&b, "o x");
    for (bool moved = true; moved;) {
        moved = test_carry(&beside, &twin);
        moved = test_carry(&twin, &beside) || moved;
    }
    test_entries_are(&b, "o t x");
    test_query_is(&b, "2",
                  "SELECT count(DISTINCT source) AS it FROM tidemark_entry_rows WHERE key IN "
                  "('o', 't')");
    test_hang_up(&a, &b);
    test_hang_up(&twin, &beside);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync/life");
    TCase *test = test_case(suite, "life");

    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, an_opening_begins_a_life_and_keeps_the_last_if_it_was_shown);
    tcase_add_test(test, a_life_ends_where_it_was_seen);
    tcase_add_test(test, a_thousand_lives_are_kept);
    tcase_add_test(test, a_life_too_long_ago_is_no_lost_one);
    tcase_add_test(test, what_came_from_a_copy_is_not_swept);
    tcase_add_test(test, nor_where_the_original_lived_on);
    tcase_add_test(test, what_a_copy_has_made_is_not_swept);
    tcase_add_test(test, rows_of_a_copy_are_not_left_out);
    tcase_add_test(test, pages_of_both_at_once_are_not_one_following);
    return test_run(suite);
}
