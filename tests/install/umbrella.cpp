// Everything at once, in C++.
#include <tidemark/tidemark.h>

#include <cstdio>

int main()
{
    tide_options store;
    tide_options_init(&store);
    tide_sync_options sync;
    tide_sync_options_init(&sync);
    std::puts(store.size == sizeof(store) && sync.size == sizeof(sync) ? "same" : "different");
    return 0;
}
