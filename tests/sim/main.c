/* main.c - tidemark-sim: which seeds, how many devices, and what comes out.
 *
 * Devices with real libraries, in one process and on virtual time, live through what a seed draws:
 * writes, bad links, crashes, clocks. See world.h for what is simulated, check.c for what must
 * hold, and steps.c for what can happen.
 *
 * Exit 0: all was well, 1: a seed failed, 2: wrong usage, 3: the simulator cannot run.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shrink.h"
#include "steps.h"

#define SHRINK_RUNS 600
#define PATH_BYTES 512

static const char usage[] =
    "usage: tidemark-sim --seeds N [--start S] [--devices D] [--scenario NAME] [--verbose]\n"
    "  --seeds N        run so many seeds\n"
    "  --start S        the first (default 1)\n"
    "  --devices D      2 to 8; default: as the seed says\n"
    "  --scenario NAME  only this one; --scenario list names them\n"
    "  --twice          run each seed twice: both must be the same to the last byte\n"
    "  --keep-going     go on after a seed that failed\n"
    "  --no-shrink      do not look for less that fails as well\n"
    "  --dir DIR        work in a new folder in DIR (default /dev/shm, $TMPDIR or /tmp)\n"
    "  --verbose        tell every step\n";

typedef struct settings {
    uint64_t seeds;
    uint64_t start;
    int devices;
    int scenario; /* -1: as the seed says */
    bool verbose;
    bool twice;
    bool keep_going;
    bool shrinks;
    const char *dir;
    char folder[PATH_BYTES];
} settings;

static int complain(const char *what, const char *why)
{
    (void)fprintf(stderr, "tidemark-sim: %s: %s\n", what, why);
    return 2;
}

/* ---- options ------------------------------------------------------------------------------------ */

static int list_scenarios(void)
{
    const char *what = NULL;
    const char *name = NULL;
    for (int i = 0; (name = scenario_name(i, &what)) != NULL; i++) {
        (void)printf("%-10s %s\n", name, what);
    }
    exit(0);
}

static int find_scenario(const char *wanted)
{
    const char *what = NULL;
    const char *name = NULL;
    if (strcmp(wanted, "list") == 0) {
        list_scenarios();
    }
    for (int i = 0; (name = scenario_name(i, &what)) != NULL; i++) {
        if (strcmp(name, wanted) == 0) {
            return i;
        }
    }
    return -1;
}

static bool read_number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    char *tail = NULL;
    errno = 0;
    *out = strtoull(text, &tail, 10);
    return errno == 0 && tail != text && *tail == '\0' && *text != '-' && *out >= least &&
           *out <= most;
}

static int read_option(settings *s, int option)
{
    uint64_t devices = 0;
    switch (option) {
    case 'n':
        return read_number(optarg, 1, UINT64_MAX / 2, &s->seeds) ? 0 : complain("--seeds", optarg);
    case 's':
        return read_number(optarg, 0, UINT64_MAX / 2, &s->start) ? 0 : complain("--start", optarg);
    case 'd':
        if (!read_number(optarg, 2, DEVICES_MAX, &devices)) {
            return complain("--devices", "2 to 8");
        }
        s->devices = (int)devices;
        return 0;
    case 'c':
        s->scenario = find_scenario(optarg);
        return s->scenario >= 0 ? 0 : complain(optarg, "no such scenario");
    case 'v':
        s->verbose = true;
        return 0;
    case 't':
        s->twice = true;
        return 0;
    case 'k':
        s->keep_going = true;
        return 0;
    case 'x':
        s->shrinks = false;
        return 0;
    case 'D':
        s->dir = optarg;
        return 0;
    case 'h':
        (void)fputs(usage, stdout);
        exit(0);
    default:
        (void)fputs(usage, stderr);
        return 2;
    }
}

static int read_options(settings *s, int argc, char **argv)
{
    static const struct option options[] = {{"seeds", required_argument, NULL, 'n'},
                                            {"start", required_argument, NULL, 's'},
                                            {"devices", required_argument, NULL, 'd'},
                                            {"scenario", required_argument, NULL, 'c'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"twice", no_argument, NULL, 't'},
                                            {"keep-going", no_argument, NULL, 'k'},
                                            {"no-shrink", no_argument, NULL, 'x'},
                                            {"dir", required_argument, NULL, 'D'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int option = 0;
    *s = (settings){.start = 1, .scenario = -1, .shrinks = true};
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        int rc = read_option(s, option);
        if (rc != 0) {
            return rc;
        }
    }
    if (s->seeds == 0 || optind != argc) {
        (void)fputs(usage, stderr);
        return 2;
    }
    return 0;
}

/* ---- the folder --------------------------------------------------------------------------------- */

static const char *place(const settings *s)
{
    const char *temporary = getenv("TMPDIR");
    if (s->dir != NULL) {
        return s->dir;
    }
    return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : temporary != NULL ? temporary : "/tmp";
}

static int make_folder(settings *s)
{
    (void)snprintf(s->folder, sizeof s->folder, "%.480s/tidemark-sim-XXXXXX", place(s));
    if (mkdtemp(s->folder) == NULL) {
        (void)complain(s->folder, strerror(errno));
        return 3;
    }
    disk_watch(s->folder);
    world_prepare();
    return 0;
}

static void remove_folder(const settings *s)
{
    disk_reset();
    for (int i = 0; i < DEVICES_MAX; i++) {
        (void)rmdir(disk_path(i));
    }
    (void)rmdir(s->folder);
}

/* ---- seeds -------------------------------------------------------------------------------------- */

static void tell_plan(const plan *p)
{
    char text[STEP_TEXT + 64];
    (void)printf("%d steps, %d devices:\n", p->count, p->device_count);
    for (int i = 0; i < p->count; i++) {
        step_say(p, &p->steps[i], text, sizeof text);
        (void)printf("  %3d. %s\n", i + 1, text);
    }
}

static void tell_failure(const settings *s, plan *p, outcome *out)
{
    (void)printf("seed %" PRIu64 " (%s, %d devices) failed: %s\n", p->seed, p->scenario,
                 p->device_count, out->failure);
    if (s->shrinks) {
        shrink(p, out, SHRINK_RUNS);
        (void)printf("less that fails as well: %s\n", out->failure);
        tell_plan(p);
    }
    (void)printf("again: tidemark-sim --seeds 1 --start %" PRIu64 " --scenario %s --verbose\n",
                 p->seed, p->scenario);
    (void)fflush(stdout);
}

/* True: all was well. */
static bool run_seed(const settings *s, uint64_t seed, outcome *out)
{
    static plan p; /* large */
    plan_draw(&p, seed, s->scenario, s->devices);
    if (s->verbose) {
        (void)printf("seed %" PRIu64 ": %s, %d devices, %d steps\n", seed, p.scenario,
                     p.device_count, p.count);
    }
    plan_run(&p, s->verbose, out);
    if (s->twice && out->failure[0] == '\0') {
        outcome again;
        plan_run(&p, false, &again);
        if (again.hash != out->hash || strcmp(again.failure, out->failure) != 0) {
            (void)printf("seed %" PRIu64 " is not the same twice: %016" PRIx64 ", then %016" PRIx64
                         " %s\n",
                         seed, out->hash, again.hash, again.failure);
            return false;
        }
    }
    if (out->failure[0] != '\0') {
        tell_failure(s, &p, out);
        return false;
    }
    if (s->verbose) {
        (void)printf("seed %" PRIu64 ": %016" PRIx64 "\n", seed, out->hash);
    }
    return true;
}

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    settings s;
    int rc = read_options(&s, argc, argv);
    if (rc == 0) {
        rc = make_folder(&s);
    }
    if (rc != 0) {
        return rc;
    }
    uint64_t ran = 0;
    uint64_t failed = 0;
    uint64_t messages = 0;
    uint64_t crashes = 0;
    double began = now_s();
    for (; ran < s.seeds && (failed == 0 || s.keep_going); ran++) {
        outcome out;
        failed += !run_seed(&s, s.start + ran, &out);
        messages += out.messages;
        crashes += out.crashes;
    }
    (void)printf("%" PRIu64 " seeds from %" PRIu64 ": %" PRIu64 " failed; %" PRIu64
                 " messages, %" PRIu64 " crashes, %.1f seeds a second\n",
                 ran, s.start, failed, messages, crashes, (double)ran / (now_s() - began));
    remove_folder(&s);
    return failed == 0 ? 0 : 1;
}
