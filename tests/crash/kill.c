/* kill.c - kill -9 at any moment: nothing is lost but the process; see campaign.h.
 *
 * What the system has been given stays, so whatever a program has written counts as if it were on
 * disk; what may break is what was half written. The programs go on from what the last kill left.
 */
#include "campaign.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs.h"

#define PROGRAMS_MAX 3
#define LONGEST_US 60000 /* that a program lives */

/* `@` is the folder, `#` the seed. */
static const struct victim {
    const char *name;
    const char *scenario; /* whose preparation and check */
    const char *commands[PROGRAMS_MAX][8];
} victims[] = {
    {"four threads on a store", "marks", {{"tidemark-crash-work", "threads", "@", "a", "4"}}},
    {"three processes on a store",
     "marks",
     {{"tidemark-crash-work", "threads", "@", "p", "2"},
      {"tidemark-crash-work", "threads", "@", "q", "1"},
      {"tidemark-crash-work", "threads", "@", "r", "1"}}},
    {"a program with two libraries",
     "library",
     {{"tidemark-crash-work", "library", "@", "#", "1000"}}},
    {"two programs that write and sync",
     "library",
     {{"tidemark-crash-work", "library", "@", "#", "1000"},
      {"tidemark", "sync", "@/B", "@/A", "--page-rows", "3"}}},
};

#define VICTIMS (sizeof victims / sizeof *victims)

static pid_t start(const place *p, const char *const *command, uint64_t seed)
{
    char words[8][PATH_MAX];
    char *argv[9] = {NULL};
    for (int i = 0; i < 8 && command[i] != NULL; i++) {
        if (i == 0) {
            (void)snprintf(words[i], PATH_MAX, "%s/%s", p->bin, command[i]);
        } else if (command[i][0] == '@') {
            (void)snprintf(words[i], PATH_MAX, "%s%s", p->live, command[i] + 1);
        } else if (command[i][0] == '#') {
            (void)snprintf(words[i], PATH_MAX, "%llu", (unsigned long long)seed);
        } else {
            (void)snprintf(words[i], PATH_MAX, "%s", command[i]);
        }
        argv[i] = words[i];
    }
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(p->output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0) {
            _exit(127);
        }
        (void)execv(argv[0], argv);
        _exit(127);
    }
    return pid;
}

/* What the programs have acknowledged so far. */
static bool read_marks(const place *p, marks *m)
{
    char path[PATH_MAX];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/" RECORDING_MARKS, p->live);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return true; /* none was quick enough */
    }
    char *lines = fstat(fd, &st) == 0 ? malloc((size_t)st.st_size + 1) : NULL;
    ssize_t got = lines == NULL ? -1 : read(fd, lines, (size_t)st.st_size);
    close(fd);
    if (got > 0) {
        marks_add(m, lines, (size_t)got);
    }
    free(lines);
    return got >= 0;
}

/* In a child, as the check may crash, and as the programs were other processes too. */
static bool check_in_child(const place *p, const scenario *s, const marks *m, char *why)
{
    int ends[2];
    int status = 0;
    if (pipe(ends) != 0) {
        return false;
    }
    pid_t pid = fork();
    if (pid == 0) {
        char words[WHY_BYTES] = "";
        (void)alarm(60);
        bool ok = s->check(p->live, m, words, sizeof words);
        _exit(write(ends[1], words, sizeof words) == (ssize_t)sizeof words && ok ? 0 : 1);
    }
    close(ends[1]);
    if (read(ends[0], why, WHY_BYTES) <= 0) {
        (void)snprintf(why, WHY_BYTES, "the check crashed");
    }
    close(ends[0]);
    return waitpid(pid, &status, 0) == pid && status == 0;
}

/* Starts the programs, kills them, checks. */
static bool kill_once(place *p, const struct victim *v, const scenario *s, uint64_t seed,
                      totals *sum)
{
    pid_t pids[PROGRAMS_MAX] = {0};
    char why[WHY_BYTES] = "";
    uint64_t random = seed;
    uint64_t us = fs_random(&random) % LONGEST_US;
    const struct timespec pause = {0, (long)us * 1000};
    marks acknowledged = p->prepared;
    bool ok = true;
    for (int i = 0; i < PROGRAMS_MAX && v->commands[i][0] != NULL; i++) {
        pids[i] = start(p, v->commands[i], seed);
        ok = ok && pids[i] > 0;
    }
    (void)nanosleep(&pause, NULL); /* waits for nothing: when the kill comes is the experiment */
    for (int i = 0; i < PROGRAMS_MAX; i++) {
        int status = 0;
        if (pids[i] > 0) {
            (void)kill(pids[i], SIGKILL);
            (void)waitpid(pids[i], &status, 0);
            sum->kills += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        }
        if (pids[i] > 0 && WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) {
            (void)snprintf(why, sizeof why, "it ended with signal %d", WTERMSIG(status));
            ok = false;
        }
    }
    ok = ok && read_marks(p, &acknowledged) && check_in_child(p, s, &acknowledged, why);
    if (!ok) {
        (void)printf("FAILED %s seed %llu, killed after %llu us: %s\n", v->name,
                     (unsigned long long)seed, (unsigned long long)us, why);
        sum->failed++;
    }
    return ok;
}

void campaign_kills(place *p, const campaign_options *o, totals *sum)
{
    bool going = true;
    for (uint64_t round = 0; going && campaign_lasts(o, round);) {
        uint64_t first = round;
        for (size_t i = 0; going && i < VICTIMS; i++) {
            const struct victim *v = &victims[i];
            const scenario *s = scenario_find(v->scenario);
            uint64_t before = sum->kills;
            /* A folder for at most a hundred rounds: what grows gets slow. */
            going = place_prepare(p, s, o->seed + first);
            sum->broken = sum->broken || !going;
            for (round = first; going && round < first + 100 && campaign_lasts(o, round); round++) {
                going = campaign_goes_on(o, sum, kill_once(p, v, s, o->seed + round, sum));
            }
            (void)printf("%s seed %llu: %llu kills\n", v->name, (unsigned long long)o->seed + first,
                         (unsigned long long)sum->kills - before);
            (void)fflush(stdout);
        }
    }
}
