/* A stranger's program over libtidemark-sync: make a library, print its resources in order. */
#include <stdio.h>

#include <tidemark/tidemark.h>

static int print(void *ctx, const char *resource)
{
    (void)ctx;
    printf("%s\n", resource);
    return 0;
}

int main(int argc, char **argv)
{
    tide_library_options options;
    tide_library *library;
    int rc;

    if (argc != 2) {
        return 2;
    }
    tide_library_options_init(&options);
    options.flags = TIDE_CREATE_LIBRARY;
    options.device_name = "a stranger's";
    rc = tide_library_open(argv[1], &options, &library);
    if (rc != TIDE_OK) {
        fprintf(stderr, "tide_library_open: %s\n", tide_strerror(rc));
        return 1;
    }
    rc = tide_sync_order(tide_library_sync(library), print, NULL);
    tide_library_close(library);
    return rc == TIDE_OK ? 0 : 1;
}
