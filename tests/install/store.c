/* A stranger's program over libtidemark: advance a mark, read it back, print it. */
#include <stdio.h>
#include <string.h>

#include <tidemark/store.h>

static int fail(const char *what, int rc)
{
    fprintf(stderr, "%s: %s\n", what, tide_strerror(rc));
    return 1;
}

int main(int argc, char **argv)
{
    static const char stamp[] = "2024-02-29T12:00:00.000000001Z";
    uuid_t device;
    uuid_t peer;
    tide_store *store;
    tide_mark mark;
    tide_time upto;
    char text[TIDE_TIME_TEXT];
    int rc;

    if (argc != 2) {
        return 2;
    }
    memset(device, 1, sizeof(device));
    memset(peer, 2, sizeof(peer));

    rc = tide_time_parse(stamp, sizeof(stamp) - 1, &upto);
    if (rc != TIDE_OK) {
        return fail("tide_time_parse", rc);
    }
    rc = tide_open(argv[1], NULL, &store);
    if (rc != TIDE_OK) {
        return fail("tide_open", rc);
    }
    rc = tide_advance(store, device, peer, "entry", upto);
    if (rc == TIDE_OK) {
        rc = tide_get(store, device, peer, "entry", &mark);
    }
    tide_close(store);
    if (rc != TIDE_OK) {
        return fail("tide_advance, tide_get", rc);
    }
    tide_time_format(mark.watermark, text);
    printf("%s %s\n", tide_version(), text);
    return 0;
}
