/* main.c - tidemark-crash: power cuts, failed calls and kill -9 for programs that write.
 *
 * Exit 0: all was well, 1: something was found (with mutants: was not), 2: wrong usage, 3: it could
 * not do its work.
 */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "campaign.h"

static const char usage[] =
    "usage: tidemark-crash cuts|again|faults|mutants|flushes|kills [OPTION]...\n"
    "       tidemark-crash replay RECORDING MOMENT.VARIANT [--keep]\n"
    "       tidemark-crash list\n"
    "  --scenario NAME   only this one; list names them\n"
    "  --seed S          the first (default 1)\n"
    "  --rounds N        seeds, or kills of each program (default 1)\n"
    "  --minutes M       go on for so long instead\n"
    "  --per-moment N    variants tried at each moment (default 200)\n"
    "  --states N        at most, of a recording\n"
    "  --one-in N        of faults: of so many, one (default 1)\n"
    "  --keep-going      go on after what failed\n"
    "  --keep            leave the folder\n"
    "  --dir DIR         work in a new folder in DIR (default /dev/shm)\n";

static const struct command {
    const char *name;
    campaign_fn *run;
} commands[] = {
    {"cuts", campaign_cuts},       {"again", campaign_again},     {"faults", campaign_faults},
    {"mutants", campaign_mutants}, {"flushes", campaign_flushes}, {"kills", campaign_kills},
};

typedef struct settings {
    campaign_options campaign;
    const char *dir;
    bool keep;
} settings;

static uint64_t number(const char *text)
{
    char *end = NULL;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end != '\0') {
        (void)fprintf(stderr, "tidemark-crash: %s: not a number\n", text);
        exit(2);
    }
    return value;
}

static bool read_options(int count, char **words, settings *s)
{
    static const struct option options[] = {{"scenario", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"rounds", required_argument, NULL, 'r'},
                                            {"minutes", required_argument, NULL, 'm'},
                                            {"per-moment", required_argument, NULL, 'p'},
                                            {"states", required_argument, NULL, 't'},
                                            {"one-in", required_argument, NULL, 'o'},
                                            {"keep-going", no_argument, NULL, 'g'},
                                            {"keep", no_argument, NULL, 'k'},
                                            {"dir", required_argument, NULL, 'd'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    campaign_options *c = &s->campaign;
    for (int o = 0; (o = getopt_long(count, words, "", options, NULL)) != -1;) {
        switch (o) {
        case 'n':
            c->scenario = scenario_find(optarg);
            if (c->scenario == NULL) {
                (void)fprintf(stderr, "tidemark-crash: no scenario %s\n", optarg);
                return false;
            }
            break;
        case 's':
            c->seed = number(optarg);
            break;
        case 'r':
            c->rounds = number(optarg);
            break;
        case 'm':
            c->minutes = number(optarg);
            break;
        case 'p':
            c->per_moment = number(optarg);
            break;
        case 't':
            c->states_max = number(optarg);
            break;
        case 'o':
            c->one_in = number(optarg);
            break;
        case 'g':
            c->keep_going = true;
            break;
        case 'k':
            s->keep = true;
            break;
        case 'd':
            s->dir = optarg;
            break;
        case 'h':
            (void)fputs(usage, stdout);
            exit(0);
        default:
            return false;
        }
    }
    return c->one_in > 0;
}

/* Makes the state twice: one copy is checked, which writes to it, and the other one is left. */
static int replay(place *p, const char *path, const char *state)
{
    tape t;
    marks acknowledged;
    char why[WHY_BYTES] = "";
    char *dot = NULL;
    long long moment = strtoll(state, &dot, 10);
    if (!tape_load(&t, path) || *dot != '.') {
        (void)fprintf(stderr, "tidemark-crash: %s %s: not a recording and a state\n", path, state);
        return 2;
    }
    const scenario *s = scenario_find(t.map->scenario);
    cut_options one = {.folder = p->second,
                       .per_moment = t.map->per_moment,
                       .seed = t.map->seed,
                       .moment = moment,
                       .variant = number(dot + 1)};
    bool made = s != NULL && cut_make(&t, &one, &acknowledged);
    one.folder = p->state;
    if (!made || !cut_make(&t, &one, &acknowledged)) {
        (void)fprintf(stderr, "tidemark-crash: %s: no state %s\n", path, state);
        return 3;
    }
    (void)printf("%s: the state is in %s\n", s->name, p->second);
    (void)fflush(stdout);
    bool ok = s->check(p->state, &acknowledged, why, sizeof why);
    (void)printf("%s\n", ok ? "all is well" : why);
    return ok ? 0 : 1;
}

static int run_campaign(place *p, const struct command *c, const settings *s)
{
    totals sum = {.recordings = 0};
    c->run(p, &s->campaign, &sum);
    (void)printf(
        "%s: %llu recordings, %llu moments, %llu states (%llu checked), %llu failed calls, %llu kills: "
        "%llu failures\n",
        c->name, (unsigned long long)sum.recordings, (unsigned long long)sum.moments,
        (unsigned long long)sum.states, (unsigned long long)sum.checked,
        (unsigned long long)sum.faults, (unsigned long long)sum.kills,
        (unsigned long long)sum.failed);
    if (sum.recordings + sum.kills == 0) {
        sum.broken = true; /* nothing was tried */
    }
    return sum.broken ? 3 : sum.failed > 0;
}

static int list(void)
{
    const scenario *s = NULL;
    for (size_t i = 0; (s = scenario_number(i)) != NULL; i++) {
        (void)printf("%-10s %s\n", s->name, s->what);
    }
    return 0;
}

static int run(place *p, const settings *s, int count, char **words)
{
    if (count == 3 && strcmp(words[0], "replay") == 0) {
        return replay(p, words[1], words[2]);
    }
    for (size_t i = 0; count == 1 && i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(words[0], commands[i].name) == 0) {
            return run_campaign(p, &commands[i], s);
        }
    }
    (void)fputs(usage, stderr);
    return 2;
}

int main(int count, char **words)
{
    char bin[PATH_MAX];
    place p;
    settings s = {.campaign = {.seed = 1, .rounds = 1, .per_moment = 200, .one_in = 1},
                  .dir = "/dev/shm"};
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* long runs are looked at */
    ssize_t length = readlink("/proc/self/exe", bin, sizeof bin - 1);
    if (length < 0 || !read_options(count, words, &s)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    bin[length] = '\0';
    *strrchr(bin, '/') = '\0';
    if (count - optind == 1 && strcmp(words[optind], "list") == 0) {
        return list();
    }
    if (!place_make(&p, s.dir, bin)) {
        perror(s.dir);
        return 3;
    }
    int status = run(&p, &s, count - optind, words + optind);
    if (!s.keep) {
        place_remove(&p);
    }
    return status;
}
