#!/usr/bin/env python3
"""An executable model of the protocol: what a mark may claim, and what a sweep may delete.

It plays devices that change, delete, follow, prune, crash, are restored, copied, wiped and given
up, over a net that loses, repeats and reorders; then lets everybody talk until nothing moves,
and looks whether all are equal, nothing is lost and nothing that was deleted has come back.
Every mark is checked whenever it moves. `--variant RULE=VALUE` and `--draft` bring back rules
that were given up, to see what they break. Exit status 1: something failed that is not one of
the limits below.

Stamps. The next stamp of a resource is max(clock, 1 + random gap + max(newest stamp, pruned,
floor)). Applying a row lifts the floor to its version. The head is max(newest stamp, pruned), 0
for a feed that never held a row; it never falls. Versions order by (stamp, device); at the same
version a deletion is newer than what it deletes.

Epochs. A device takes a new epoch at every open, before anything else. Its lineage is the list
of its epochs with the stamps at which each ended: min(head, until), where `until` is raised,
ahead and so seldom, before a head above it is served or published. Pages carry the lineage;
followers keep it with their rows. Floors start at a random distance above in a new epoch.

Marks. A mark is (epoch, stamp, head, whole): the page that raised it was made in `epoch` when
the feed's head was `head`; `whole` is the last stamp at which the follower was level with the
feed. Level, all three are equal. A mark is on a lineage if its epoch is there and its head not
above that epoch's end. A page without news in a newer epoch renews epoch and head.

Questions name, for a mark or for a full read: epoch, head, the stamp to go on from, and the
generation if it is a full read. They are on disk before they leave, rows first.

Answers. The server registers the asker. A question that names an epoch, but is not on the
server's lineage, shows that the server's history was lost: it recovers (below), except when the
epoch is older than the one it took when it last did. While it recovers it answers WAIT. A
question on the lineage that is no full read is the ack; any other removes it. RESCAN(epoch,
head, generation = pruned, known = the question was on the lineage) if it was not, if it goes on
from nothing without a generation, or from below pruned with another generation than pruned. Else
a page; rows whose source is the following that is in force for the asker are left out, but only
in no full read, if the asker is in the epoch of the server's mark on it, and for rows that are
sure (below).

Full reads. On RESCAN the mark goes, durably; then, with the rows: epoch, head, generation,
position, listed keys, and the mark that went (for `seen`). If not `known`, a new following
begins: rows taken from now on have another source than those before. A page counts only as the
answer to the very question that would be asked now. The page that reaches the head carries
`seen`: the server's mark on the asker's feed, or in a full read of it the position there and the
mark before. In the transaction of that page each live row is swept that is not listed and whose
stamp is at or below the bound that `seen` proves, or whose source is the following in force and
sure. A swept row becomes a tombstone of the SAME version with a new stamp; tombstones are left
to pruning.

The bound. `seen` on our lineage: its stamp. Otherwise, by the server's copy of our lineage, the
newest epoch that both share: the smaller of its two ends and `whole`. What changed in a lost
history after the server was level with it may never have been seen. Nothing shared: no bound.

Sure. At an open, stamps above those the marks on disk rest on are unsure for good: what was
taken under them came by pages that no mark tells of, perhaps of a history that the peer has
lost.

Recovering. At an open: the marks rest on an epoch or stamps that are not on our lineage. At a
question: see above. The device takes an epoch above the lost one, drops marks, acks and full
reads, and recovers until it has read all resources of one peer in full; where all recover, or it
follows nobody, a person accepts. If the marks alone are of an older epoch than the last, acks
go.

Acks and pruning. Who asks and who is asked register each other. Tombstones at or below the
smallest ack of all registered peers are pruned; pruned rises to the highest of them. An answer to
what was asked before that does not count: it may be older than the peer's ack, and give what was
deleted since. Removing a peer removes its acks, not the mark on it. A device that is given a new id
drops its marks and starts a lineage.

Limits, each in the direction that a deletion that was pruned comes back, after a report: devices
rolled back together; a rolled-back, doubled or given-up device whose peers had not seen the row
in its feed, or lost their mark on it; a one-way follower that was given up keeps a row deleted
meanwhile, if it took it just before a crash; one that gave up the device a deletion came from, and
pruned it, takes what another device has written with a smaller stamp. Two living copies can give
one version twice if their clocks stand behind. What another program writes into restored files
before the first open, with a clock or stamps within `until`, counts as the lost history: there a
row can be lost (scenario `foreign`). A device restored with everything is not noticed, and nobody
told, if every follower lost its marks on it before it asked.
"""
import argparse
import collections
import random
import sys

NONE = -1
NO_MARK = (None, NONE, NONE, NONE)
SHARED = {0: True, 1: False, 2: True}   # resource 1 is device-owned
KEYS = 6

# The rules as settled, and beside each the first draft that `--variant` brings back.
SETTLED = {
    'epochs': 'open',        # a new epoch at every open; or only when a rollback is 'noticed'
    'source': 'following',   # a row's source is (peer, following); or (peer, 'epoch')
    'sweep': 'tombstone',    # a swept row becomes a tombstone; or they 'vanish', or 'raise' pruned
    'dead': 'keep',          # a sweep leaves tombstones alone; or 'sweep'
    'jump': True,            # a new epoch lifts the floor by a random distance
    'remove': 'acks',        # removing a peer forgets its acks; or its 'marks' on it as well
    'recover': 'one',        # full reads of one healthy peer end recovery; or of 'all' registered
    'seen': 'last',          # the sweep goes by the mark on the last page; or on the 'rescan'
    'top': True,             # a full read names how far it knows the server's feed
    'omit': 'epoch',         # rows are left out for an asker in the epoch of our mark; or 'always'
    'beyond': True,          # the epoch taken at a rollback is above the one that was lost
    'chain': True,           # a server knows the lineage of those it follows
    'position': True,        # in a full read its position, or the mark before, counts as seen
    'whole': True,           # what a lost history proves ends where the server was level with it
    'gap': True,             # a stamp that is not the clock's leaves a random gap
    'until': True,           # an epoch ends where it may have been served, not at what was written
    'unsure': True,          # rows taken after the marks on disk at an open are not swept by source
    'help': 'nobody',        # whom a recovering device serves: nobody, or 'recovering' ones
    'late': 'drop',          # answers to what was asked before a pruning; or they 'count'
    'register': 'both',      # who asks and who is asked register each other; or only the 'asker'
}
DRAFT = dict(SETTLED, epochs='noticed', source='epoch', sweep='vanish', dead='sweep', jump=False,
             seen='rescan', top=False, omit='always', unsure=False, beyond=False,
             chain=False, position=False, whole=False, gap=False, until=False,
             help='recovering', late='count')

Row = collections.namedtuple('Row', 'version stamp dead value source')
Full = collections.namedtuple('Full', 'epoch top generation seen was position listed')
Question = collections.namedtuple('Question', 'number asker session ident epoch recovering '
                                  'resource mark_epoch top after generation limit pruned')
Answer = collections.namedtuple('Answer', 'kind server recovering question epoch upto head rows '
                                'last generation seen known lineage')


def newer(row, than):
    """A deletion wins over the very version it deletes."""
    return than is None or (row.version, row.dead) > (than.version, than.dead)


class Failure(Exception):
    pass


class Rows:
    """The row database: everything in it falls back together."""

    def __init__(self, resources):
        self.feed = [{} for _ in range(resources)]
        self.pruned = [0] * resources   # an empty feed has a head: 0
        self.floor = [NONE] * resources
        self.until = [0] * resources    # no stamp above has been served or rested upon
        self.lineage = {}            # epoch -> stamps at its end, None while it lasts
        self.lineages = {}           # peer -> its lineage, as its last page told
        self.epoch = None
        self.unsure = [()] * resources   # (low, high]: stamps given when marks were not on disk
        self.noticed = None          # the epoch taken when a rollback was last noticed
        self.recovering = None       # or the (peer, resource) read in full since
        self.peers = frozenset()
        self.following = {}          # (peer, resource) -> number, part of a row's source
        self.full = {}               # (peer, resource) -> Full

    def copy(self):
        new = Rows.__new__(Rows)
        new.__dict__.update(self.__dict__)
        new.feed = [dict(f) for f in self.feed]
        new.pruned = list(self.pruned)
        new.floor = list(self.floor)
        new.until = list(self.until)
        new.lineages = dict(self.lineages)
        new.following = dict(self.following)
        new.unsure = list(self.unsure)
        new.full = dict(self.full)
        return new


class Marks:
    """The mark store: it may fall behind the rows, never before them."""

    def __init__(self):
        self.marks = {}              # (peer, resource) -> (epoch, stamp, head, whole)
        self.acks = {}               # (peer, resource) -> stamp of our feed
        self.rests = None            # (epoch, newest stamps) of the rows the marks rest on

    def copy(self):
        new = Marks()
        new.marks, new.acks, new.rests = dict(self.marks), dict(self.acks), self.rests
        return new


class World:
    def __init__(self, seed, rules):
        self.random, self.rules, self.resources = random.Random(seed), rules, 0
        self.now = 0
        self.number = 0
        self.net = []                # questions and answers under way
        self.pruned = {}             # (resource, key) -> newest version whose deletion was pruned
        self.made = {}               # (resource, key, version) -> when it was written
        self.reports = collections.Counter()
        self.step = 0
        self.touched = set()         # idents once restored, copied or made anew
        self.devices = []


class Device:
    def __init__(self, world, ident):
        self.world, self.ident = world, ident
        self.skew = 0
        self.session = 0
        self.heard = {}              # (asker, resource) -> number of its last question
        self.backups = []
        self.away = 0
        self.rows, self.marks = Rows(world.resources), Marks()
        self.open()

    # -- the two files -------------------------------------------------------------------------

    def flush(self):
        self.disk_rows = self.rows.copy()

    def cover(self):
        """Before a head is served or rested upon; in steps, so that it is seldom written."""
        for r, head in enumerate(self.heads()):
            if head > self.rows.until[r]:
                self.rows.until[r] = head + self.world.step

    def publish(self):
        self.cover()
        self.flush()
        self.marks.rests = (self.rows.epoch, self.heads())
        self.disk_marks = self.marks.copy()

    def open(self):
        """What a program does when it opens the library."""
        rows, rests = self.rows, self.marks.rests
        self.session += 1
        if rows.epoch is None:
            self.new_epoch()
        else:
            rows.lineage = dict(rows.lineage)
            rows.lineage[rows.epoch] = self.ends()
            if rests is not None:
                epoch, heads = rests
                if self.world.rules['epochs'] == 'noticed' and epoch != rows.epoch:
                    self.notice('rows behind the marks', epoch)
                elif not all(self.on_lineage(epoch, r, h) for r, h in enumerate(heads)):
                    self.notice('rows behind the marks', epoch)
                elif epoch != rows.epoch:
                    self.marks.acks = {}        # the marks alone went back
            for r, head in enumerate(self.heads()):
                sure = rests[1][r] if rests is not None else NONE
                if sure < head:
                    rows.unsure[r] += ((sure, head),)
            if self.world.rules['epochs'] == 'open':
                self.new_epoch()
            elif rows.lineage[rows.epoch] is not None:
                rows.lineage[rows.epoch] = None
        self.publish()

    def crash(self):
        self.rows, self.marks = self.disk_rows.copy(), self.disk_marks.copy()
        self.open()

    # -- stamps and epochs ---------------------------------------------------------------------

    def clock(self):
        return max(1, self.world.now + self.skew)

    def head(self, r):
        feed = self.rows.feed[r]
        return max(self.rows.pruned[r], max((x.stamp for x in feed.values()), default=NONE))

    def heads(self):
        return tuple(self.head(r) for r in range(self.world.resources))

    def ends(self):
        if not self.world.rules['until']:
            return self.heads()
        return tuple(min(h, u) for h, u in zip(self.heads(), self.rows.until))

    def stamp(self, r):
        gap = self.world.random.getrandbits(10) if self.world.rules['gap'] else 0
        return max(self.clock(), 1 + gap + max(self.head(r), self.rows.floor[r]))

    def new_epoch(self, beyond=None):
        rows = self.rows
        last = max(e[0] if e else 0 for e in (rows.epoch, beyond))
        lineage = dict(rows.lineage)
        if rows.epoch:
            lineage[rows.epoch] = self.ends()
        rows.epoch = (max(self.clock(), last + 1), self.world.random.getrandbits(40))
        lineage[rows.epoch] = None
        rows.lineage = lineage       # never changed in place: pages carry it
        if self.world.rules['jump']:
            for r in range(self.world.resources):
                rows.floor[r] = (max(rows.floor[r], self.head(r)) +
                                 self.world.random.randrange(1, 1 << 20))

    def on_lineage(self, epoch, r, stamp):
        """Whether a mark was made on this very history."""
        if epoch not in self.rows.lineage:
            return False
        end = self.rows.lineage[epoch]
        return stamp <= (self.head(r) if end is None else end[r])

    def notice(self, why, lost):
        """Our history is not the one that marks rest on, ours or a peer's."""
        self.world.reports[why] += 1
        self.new_epoch(lost if self.world.rules['beyond'] else None)
        self.rows.noticed = self.rows.epoch
        self.rows.recovering = frozenset()
        self.rows.full = {}
        self.flush()
        self.marks.marks, self.marks.acks = {}, {}
        self.publish()

    # -- changes -------------------------------------------------------------------------------

    def write(self, r, key, value, dead=False):
        row = self.rows.feed[r].get(key)
        if dead and (row is None or row.dead):
            return
        stamp = self.stamp(r)
        self.world.number += 1
        self.world.made[r, key, (stamp, self.ident)] = self.world.number
        self.rows.feed[r][key] = Row((stamp, self.ident), stamp, dead, value, None)

    def prune(self):
        rows = self.rows
        for r in range(self.world.resources):
            low = min((self.marks.acks.get((p, r), NONE) for p in rows.peers), default=NONE)
            for key, row in list(rows.feed[r].items()):
                if row.dead and row.stamp <= low:
                    self.world.pruned[r, key] = max(
                        self.world.pruned.get((r, key), (0, 0)), row.version)
                    rows.pruned[r] = max(rows.pruned[r], row.stamp)
                    del rows.feed[r][key]
                    self.world.reports['- pruned'] += 1

    def register(self, peer):
        self.rows.peers |= {peer}

    def remove(self, peer):
        self.rows.peers -= {peer}
        for r in range(self.world.resources):
            self.marks.acks.pop((peer, r), None)
            if self.world.rules['remove'] == 'marks':
                self.rows.full.pop((peer, r), None)
                self.marks.marks.pop((peer, r), None)
        self.publish()

    # -- the protocol --------------------------------------------------------------------------

    def ask(self, server, r, limit):
        if self.world.rules['register'] == 'both':
            self.register(server.ident)
        self.flush()                 # what a question claims is on disk
        full = self.rows.full.get((server.ident, r))
        if full is not None:
            epoch, after, generation = full.epoch, full.position, full.generation
            top = full.top if self.world.rules['top'] else after
        else:
            epoch, after, top = self.marks.marks.get((server.ident, r), NO_MARK)[:3]
            generation = None
            if not self.world.rules['top']:
                top = after
        self.world.number += 1
        return Question(self.world.number, self, self.session, self.ident, self.rows.epoch,
                        self.rows.recovering is not None, r, epoch, top, after, generation, limit,
                        self.rows.pruned[r])

    def source(self, peer, epoch, r):
        if self.world.rules['source'] == 'epoch':
            return (peer, epoch)
        return (peer, self.rows.following.get((peer, r)))

    def serve(self, q):
        rows, r = self.rows, q.resource
        if self.heard.get((q.asker, r), 0) > q.number:
            return None              # overtaken
        self.heard[q.asker, r] = q.number
        self.register(q.ident)
        known = q.mark_epoch is not None and self.on_lineage(q.mark_epoch, r, q.top)
        if self.world.rules['epochs'] == 'noticed':
            lost = q.mark_epoch == rows.epoch and not known
            known = known and q.mark_epoch == rows.epoch
        else:
            lost = (q.mark_epoch is not None and not known and
                    (rows.noticed is None or q.mark_epoch > rows.noticed))
        if lost and rows.recovering is None:
            self.notice('a mark beyond our history', q.mark_epoch)
        self.cover()
        self.flush()                 # nothing leaves before it is on disk
        recovering = rows.recovering is not None
        if recovering and not (q.recovering and self.world.rules['help'] == 'recovering'):
            return Answer('wait', self, True, q, None, NONE, NONE, (), False, None, None, False,
                          None)
        if known and q.generation is None:
            self.marks.acks[q.ident, r] = q.after
        else:
            self.marks.acks.pop((q.ident, r), None)
        pruned = rows.pruned[r]
        seen = self.seen((q.ident, r))
        if (not known or (q.after == NONE and q.generation is None) or
                (q.after < pruned and q.generation != pruned)):
            return Answer('rescan', self, recovering, q, rows.epoch, NONE, self.head(r), (), False,
                          pruned, seen, known, None)
        behind = sorted((x.stamp, key) for key, x in rows.feed[r].items() if x.stamp > q.after)
        taken = behind[:q.limit]
        last = len(taken) == len(behind)
        upto = self.head(r) if last else taken[-1][0]
        own = self.source(q.ident, q.epoch, r)
        if self.world.rules['omit'] == 'epoch' and (not seen or seen[0][0] != q.epoch):
            own = 'nobody'
        page = [(key, rows.feed[r][key]) for _, key in taken
                if q.generation is not None or rows.feed[r][key].source != own or
                not self.sure(rows.feed[r][key].stamp, r)]
        return Answer('page', self, recovering, q, rows.epoch, upto, self.head(r), tuple(page),
                      last, q.generation, seen, True, rows.lineage)

    def seen(self, at):
        """What we have seen of a peer's feed, in words that it can check against its past."""
        lineage = self.rows.lineages.get(at[0], {})
        seen = [self.marks.marks[at] + (lineage,)] if at in self.marks.marks else []
        full = self.rows.full.get(at)
        if full is not None and self.world.rules['position']:
            seen = [(full.epoch, full.position, full.top, NONE, lineage)] + list(full.was)
        return tuple(seen)

    def apply(self, a):
        """True if the answer brought us on."""
        if a is None or a.kind == 'wait' or a.question.session != self.session:
            return False
        q, r, rows = a.question, a.question.resource, self.rows
        if q.pruned != rows.pruned[r] and self.world.rules['late'] == 'drop':
            return False
        if a.kind == 'rescan':
            return self.begin_full(a)
        at = (a.server.ident, r)
        full = rows.full.get(at)
        if full is not None:
            if (q.generation, q.mark_epoch) != (full.generation, full.epoch):
                return False
            if self.world.rules['top'] and q.top != full.top:
                return False         # an answer to an earlier full read
            if q.after != full.position or (a.upto <= full.position and not a.last):
                return False
        else:
            epoch, mark, top, whole = self.marks.marks.get(at, NO_MARK)
            if q.generation is not None or q.mark_epoch != epoch:
                return False
            if q.after > mark or a.upto < mark:
                return False
            if a.upto == mark:
                if (q.after, q.top) != (mark, top):
                    return False     # late: its rows are not applied, so it proves nothing
                self.marks.marks[at] = (a.epoch, a.upto, a.head, a.upto)
                return False
        rows.lineages[a.server.ident] = a.lineage
        source = self.source(a.server.ident, a.epoch, r)
        for key, row in a.rows:
            if newer(row, rows.feed[r].get(key)):
                rows.floor[r] = max(rows.floor[r], row.version[0])
                stamp = 1 + max(self.head(r), rows.floor[r])
                rows.feed[r][key] = Row(row.version, stamp, row.dead, row.value, source)
        if full is not None:
            full = full._replace(position=a.upto, epoch=a.epoch, top=a.head,
                                 listed=full.listed | {key for key, _ in a.rows})
            if self.world.rules['seen'] == 'last':
                full = full._replace(seen=a.seen)
            rows.full[at] = full
            if not a.last:
                return True
            self.sweep(at, full, source)
            del rows.full[at]
            self.recovered(a)
            whole = NONE
        self.marks.marks[at] = (a.epoch, a.upto, a.head, a.upto if a.last else whole)
        check_mark(self, a.server, r)
        return True

    def begin_full(self, a):
        q, r, rows = a.question, a.question.resource, self.rows
        at = (a.server.ident, r)
        full = rows.full.get(at)
        if full is not None:
            if (q.mark_epoch, q.after, q.generation) != (full.epoch, full.position,
                                                         full.generation):
                return False
        elif (q.mark_epoch, q.after, q.generation) != (
                self.marks.marks.get(at, NO_MARK)[:2] + (None,)):
            return False
        was = full.was if full is not None else ()
        if at in self.marks.marks:
            was = (self.marks.marks.pop(at) + (rows.lineages[at[0]],),)
            self.flush()
            self.disk_marks.marks.pop(at, None)
        if not a.known:
            rows.following[at] = a.epoch
        rows.full[at] = Full(a.epoch, a.head, a.generation, a.seen, was, NONE,
                             frozenset())
        return True

    def bound(self, seen, r):
        """Up to which stamp of our present history the server has seen our feed."""
        epoch, mark, top, whole, theirs = seen
        mine = self.rows.lineage
        if not self.world.rules['chain']:
            if epoch not in mine:
                return NONE
            return mark if mine[epoch] is None else min(mark, mine[epoch][r])
        if self.on_lineage(epoch, r, top):
            return mark
        # The mark is about a history that we lost. What changed there after the server was last
        # level with it may never have been seen, neither as it was nor as it became.
        known = list(theirs)
        for common in reversed(known[:known.index(epoch) + 1] if epoch in theirs else ()):
            if common in mine:
                ends = [e[r] for e in (mine[common], theirs[common]) if e is not None]
                return min([whole if self.world.rules['whole'] else mark] + ends)
        return NONE

    def sure(self, stamp, r):
        return not self.world.rules['unsure'] or \
            not any(low < stamp <= high for low, high in self.rows.unsure[r])

    def sweep(self, at, full, source):
        rows, r = self.rows, at[1]
        rules = self.world.rules
        bound = max((self.bound(s, r) for s in full.seen or ()), default=NONE)
        for key, row in list(rows.feed[r].items()):
            if key in full.listed or not (row.stamp <= bound or (
                    row.source == source and self.sure(row.stamp, r))):
                continue
            if row.dead:
                if rules['dead'] == 'sweep':
                    rows.pruned[r] = max(rows.pruned[r], row.stamp)
                    del rows.feed[r][key]
                continue
            if not self.world.pruned.get((r, key), (0, 0)) > row.version:
                raise Failure('swept a live row: device %d resource %d key %s %s' %
                              (self.ident, r, key, row.version))
            self.world.reports['- swept'] += 1
            if rules['sweep'] == 'tombstone':
                stamp = 1 + max(self.head(r), rows.floor[r])
                rows.feed[r][key] = Row(row.version, stamp, True, None, source)
            else:
                rows.pruned[r] = max(rows.pruned[r], row.stamp) if rules['sweep'] == 'vanish' \
                    else 1 + max(self.head(r), rows.floor[r])
                del rows.feed[r][key]

    def recovered(self, a):
        rows = self.rows
        self.world.reports['- read in full'] += 1
        if rows.recovering is None or a.recovering:
            return
        rows.recovering |= {(a.server.ident, a.question.resource)}
        peers = rows.peers if self.world.rules['recover'] == 'all' else [a.server.ident]
        if all((p, r) in rows.recovering for p in peers for r in range(self.world.resources)):
            rows.recovering = None


# -- what must hold ----------------------------------------------------------------------------

def check_mark(device, peer, r):
    world = device.world
    if device.ident in world.touched or peer.ident in world.touched:
        return
    _, mark, _, _ = device.marks.marks.get((peer.ident, r), NO_MARK)
    for key, row in peer.rows.feed[r].items():
        if row.stamp <= mark:
            mine = device.rows.feed[r].get(key)
            if (mine is None or mine.version < row.version) and \
                    world.pruned.get((r, key), (0, 0)) < row.version:
                raise Failure('untrue mark: device %d on %d resource %d key %s' %
                              (device.ident, peer.ident, r, key))


def live(device):
    return [{k: (x.version, x.value) for k, x in f.items() if not x.dead}
            for f in device.rows.feed]


def check_equal(devices):
    first = live(devices[0])
    for d in devices[1:]:
        for r, mine in enumerate(live(d)):
            for key in set(mine) | set(first[r]):
                x, y = first[r].get(key), mine.get(key)
                if x != y:
                    if x and y and x[0] == y[0]:
                        raise Failure('one version twice: resource %d key %s %s' % (r, key, x[0]))
                    raise Failure('diverged: devices %d %d resource %d key %s %s %s' %
                                  (devices[0].ident, d.ident, r, key, x, y))


def newest(devices):
    best = {}
    for d in devices:
        for r, feed in enumerate(d.rows.feed):
            for key, row in feed.items():
                if newer(row, best.get((r, key))):
                    best[r, key] = row
    return best


def check_kept(world, best, device):
    """Nothing lost, and nothing deleted come back."""
    back = None
    for (r, key), row in best.items():
        mine = device.rows.feed[r].get(key)
        gone = world.pruned.get((r, key), (0, 0))
        deleted = max(gone, row.version if row.dead else gone)
        if mine is not None and not mine.dead and mine.version < deleted and \
                world.made[r, key, mine.version] < world.made[r, key, deleted]:
            back = Failure('returned: device %d resource %d key %s %s < %s' %
                           (device.ident, r, key, mine.version, gone))
        elif not row.dead and gone < row.version and (
                mine is None or mine.version < row.version or
                (mine.dead and mine.version == row.version)):
            raise Failure('lost: device %d resource %d key %s %s' %
                          (device.ident, r, key, row.version))
    if back:
        raise back


def check_edge(world, follower, server, touched):
    """One direction only: what the server has, the follower has; what it deleted is deleted."""
    for r, feed in enumerate(server.rows.feed):
        for key, row in feed.items():
            mine = follower.rows.feed[r].get(key)
            gone = world.pruned.get((r, key), (0, 0))
            if newer(row, mine) and not (mine is None and row.dead) and gone <= row.version:
                raise Failure('%s: device %d on %d resource %d key %s' % (
                    'behind, pruned' if row.dead and gone == row.version else 'behind',
                    follower.ident, server.ident, r, key))
        source = follower.source(server.ident, server.rows.epoch, r)
        for key, mine in follower.rows.feed[r].items():
            if not touched and not mine.dead and mine.source == source and key not in feed:
                raise Failure('%s: device %d from %d resource %d key %s' % (
                    'kept' if follower.sure(mine.stamp, r) else 'kept, unsure',
                    follower.ident, server.ident, r, key))


# -- one run -----------------------------------------------------------------------------------

def edges_of(random_, count, oneway):
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
    if not oneway:
        return pairs
    kept = set()
    for i in range(1, count):
        for j in random_.sample(range(i), random_.randint(1, min(i, 2))):
            kept.add((i, j))
    return sorted(kept)


def key_for(world, device, r):
    n = world.random.randrange(KEYS)
    return n if SHARED[r] else (device.ident, n % 3)


def play(world, what):
    random_ = world.random
    often = 'often' in what
    count = 4 if often else random_.randint(2, 4)
    world.resources = random_.randint(2, 3)
    devices = world.devices
    devices.extend(Device(world, i) for i in range(count))
    edges = edges_of(random_, count, 'oneway' in what)
    pace = random_.choice((3, 1000, 10 ** 7))
    world.step = 4 * pace
    if 'skew' in what:
        for d in devices:
            d.skew = random_.randint(-40, 40) * pace
    copied = None                    # the index of the device that was copied

    def servers(d):
        i = devices.index(d) if devices.index(d) < count else original(d)
        mine = [devices[b] for a, b in edges if a == i]
        return mine + [x for x in devices[count:] if x.ident != d.ident and x.ident in
                       [y.ident for y in mine]]

    def original(d):
        return next(i for i in range(count) if devices[i].ident == d.ident)

    def at_random(*weighted):
        x = random_.random() * sum(w for w, _ in weighted)
        for w, name in weighted:
            x -= w
            if x < 0:
                return name
        return weighted[-1][1]

    def deliver(i, again):
        kind, to, message = world.net[i]
        if not again:
            world.net.pop(i)
        if kind == 'question':
            world.net.append(('answer', message.asker, to.serve(message)))
        else:
            to.apply(message)

    events = [(24, 'write'), (14, 'delete'), (45, 'talk'), (8, 'deliver'), (3, 'flush'),
              (3, 'publish')]
    for name, weight in (('busy', .8), ('crash', 2), ('prune', 10), ('jump', .4), ('rows', .7),
                         ('marks', .7), ('both', .7), ('foreign', .7), ('clone', .8), ('wipe', .4),
                         ('remove', 3 if often else .6)):
        if name in what or (name == 'busy' and 'prune' in what):
            events.append((weight, name))
    if {'rows', 'marks', 'both', 'foreign'} & what:
        events.append((2, 'backup'))
    for step in range(300 if often else random_.choice((60, 150, 300))):
        world.now += random_.randint(0, pace)
        d = random_.choice(devices)
        event = at_random(*events)
        if event in ('write', 'delete'):
            r = random_.randrange(world.resources)
            d.write(r, key_for(world, d, r), step if event == 'write' else None,
                    event == 'delete')
        elif event == 'talk':
            choice = [a for a in servers(d) if max(a.away, d.away) <= step]
            if choice:
                a, r = random_.choice(choice), random_.randrange(world.resources)
                for _ in range(random_.choice((1, 1, 3, 8))):
                    q = d.ask(a, r, random_.randint(1, 4))
                    x = random_.random()
                    if x < .15:
                        world.net.append(('question', a, q))
                        break
                    answer = a.serve(q)
                    if x < .3:
                        world.net.append(('answer', d, answer))
                        break
                    if x < .9 and not d.apply(answer):
                        break
        elif event == 'deliver':
            while world.net and random_.random() < .8:
                deliver(random_.randrange(len(world.net)), random_.random() < .2)
        elif event == 'flush':
            d.flush()
        elif event == 'publish':
            d.publish()
        elif event == 'crash':
            d.crash()
            for a in devices:
                if a.ident != d.ident:
                    for r in range(world.resources):
                        check_mark(d, a, r)
        elif event == 'prune':
            d.prune()
        elif event == 'jump':
            d.skew -= random_.randint(0, 60) * pace
        elif event == 'backup':
            d.backups.append((d.disk_rows.copy(), d.disk_marks.copy()))
        elif event in ('rows', 'marks', 'both', 'foreign') and d.backups:
            rows, marks = random_.choice(d.backups)
            world.touched.add(d.ident)
            world.reports['+ ' + event + ' restored'] += 1
            d.rows = (d.disk_rows if event == 'marks' else rows).copy()
            d.marks = (d.disk_marks if event == 'rows' else marks).copy()
            if event == 'foreign':   # another program writes before ours opens
                for _ in range(random_.randint(1, 3)):
                    r = random_.randrange(world.resources)
                    d.write(r, key_for(world, d, r), step)
            d.open()
        elif event == 'clone' and copied is None:
            copied = next(i for i in range(count) if devices[i] is d)
            world.touched.add(d.ident)
            world.reports['+ copied'] += 1
            twin = Device(world, d.ident)
            twin.skew = d.skew
            twin.rows, twin.marks = d.disk_rows.copy(), d.disk_marks.copy()
            twin.open()
            devices.append(twin)
        elif event == 'wipe':
            world.touched.add(d.ident)
            world.reports['+ wiped'] += 1
            d.rows, d.marks = Rows(world.resources), Marks()
            d.open()
        elif event == 'busy':       # a quiet day: who is there gets level, deletes and prunes
            here = [a for a in devices if a.away <= step]
            for x in here:
                r = random_.randrange(world.resources)
                x.write(r, key_for(world, x, r), None, True)
            for _ in range(3):
                for b in here:
                    for a in servers(b):
                        for r in range(world.resources if a.away <= step else 0):
                            for _ in range(40):
                                if not b.apply(a.serve(b.ask(a, r, 5))):
                                    break
            for a in here:
                a.prune()
        elif event == 'remove':
            for a in devices:        # away, given up by some, and back later
                if d.ident in a.rows.peers and random_.random() < .8:
                    a.remove(d.ident)
            d.away = step + random_.randint(0, 80)
            world.reports['+ removed'] += 1

    # a person gives one of two copies an id of its own
    if copied is not None:
        old, twin = devices[copied], devices[-1]
        one = random_.choice((old, twin))
        one.ident = count
        one.rows.lineage, one.rows.epoch, one.rows.full = {}, None, {}
        one.marks = Marks()
        one.open()
    best = newest(devices)
    before = {d: newest([d]) for d in devices}
    talk = [(devices[i], devices[j]) for i, j in edges]
    if copied is not None:
        talk += [(twin, a) for b, a in talk if b is old] + \
                [(b, twin) for b, a in talk if a is old]
        if 'oneway' not in what:
            talk += [(twin, old), (old, twin)]
    heal(world, talk, 'prune' in what)
    if 'oneway' in what:
        for b, a in talk:
            check_edge(world, b, a, world.touched)
        for d in devices:
            check_kept_here(world, before[d], d)
        return
    check_equal(devices)
    check_kept(world, best, devices[0])


def check_kept_here(world, best, device):
    try:
        check_kept(world, best, device)
    except Failure as failure:
        if not str(failure).startswith('returned'):
            raise


def heal(world, talk, prune):
    devices = world.devices
    for round_ in range(100):
        moved = False
        for b, a in talk:
            for r in range(world.resources):
                for _ in range(400):
                    if not b.apply(a.serve(b.ask(a, r, 3))):
                        break
                    moved = True
                else:
                    raise Failure('no end: device %d on %d' % (b.ident, a.ident))
        if prune and round_ < 20:
            for d in devices:
                if world.random.random() < .5:
                    d.prune()
        if moved:
            continue
        waiting = [d for d in devices if d.rows.recovering is not None]
        if not waiting:
            return
        for d in waiting:            # nobody can help: a person accepts
            world.reports['accepted'] += 1
            d.rows.recovering = None
    raise Failure('not quiet')


def run(seed, what, rules):
    world = World(seed, rules)
    try:
        play(world, what)
    except Failure as failure:
        return str(failure), world
    return None, world


SCENARIOS = {
    'plain': '',
    'crash': 'crash skew',
    'prune': 'crash skew jump prune',
    'rows': 'crash skew prune rows',
    'marks': 'crash skew prune marks',
    'both': 'crash skew jump prune both',
    'foreign': 'crash skew prune foreign',
    'clone': 'crash skew prune clone',
    'wipe': 'crash skew prune wipe',
    'remove': 'crash skew prune remove',
    'oneway': 'crash skew jump prune oneway',
    'oneway-restore': 'crash skew prune oneway rows marks both',
    'oneway-remove': 'crash skew jump prune oneway remove',
    'oneway-often': 'crash skew prune oneway remove often',
    'remove-often': 'crash skew prune remove often',
    'all': 'crash skew jump prune rows marks both clone wipe remove',
}


def allowed(failure, world):
    """The limits: a deletion that was pruned comes back, or a version is given twice, and only
    where a device's history was lost, doubled, given up or begun anew."""
    told = sum(n for name, n in world.reports.items() if name[0] not in '+-')
    gone = sum(n for name, n in world.reports.items() if name[0] == '+')
    if world.reports['+ foreign restored']:
        return True
    if failure.startswith('returned'):
        return bool(gone)
    if failure.startswith(('kept, unsure', 'behind, pruned')):
        return bool(world.reports['+ removed'])
    if failure.startswith('one version twice'):
        return bool(told and world.reports['+ copied'])
    return False


def kind_of(failure, world):
    kind = failure.split(':')[0]
    if not allowed(failure, world):
        return kind, False
    if world.reports['accepted']:
        return kind + ', all devices had been rolled back', True
    lost = sorted(n[2:] for n in world.reports if n[0] == '+')
    if not any(n[0] not in '+-' for n in world.reports) and 'removed' not in lost:
        kind += ', nobody told'
    return '%s, after: %s' % (kind, ', '.join(lost)), True


def main():
    p = argparse.ArgumentParser(description='Run the model of the protocol over many seeds.')
    p.add_argument('--seeds', type=int, default=200, help='seeds of each scenario (200)')
    p.add_argument('--start', type=int, default=0, help='the first seed (0)')
    p.add_argument('--scenario', choices=sorted(SCENARIOS))
    p.add_argument('--variant', action='append', default=[], metavar='RULE=VALUE',
                   help='another rule than the settled one, to see what it breaks')
    p.add_argument('--draft', action='store_true', help='the rules of the first draft')
    p.add_argument('--quiet', action='store_true', help='failures only')
    options = p.parse_args()
    rules = dict(DRAFT if options.draft else SETTLED)
    for variant in options.variant:
        name, _, value = variant.partition('=')
        if name not in rules:
            p.error('no rule ' + name)
        rules[name] = {'True': True, 'False': False}.get(value, value)
    unexpected = 0
    for name in [options.scenario] if options.scenario else SCENARIOS:
        totals, kinds = collections.Counter(), {}
        for seed in range(options.start, options.start + options.seeds):
            failure, world = run(seed, set(SCENARIOS[name].split()), rules)
            totals.update(world.reports)
            if failure is None:
                continue
            kind, expected = kind_of(failure, world)
            count, first, _ = kinds.get(kind, (0, (seed, failure), expected))
            kinds[kind] = count + 1, first, expected
            if not expected:
                unexpected += 1
                print('FAILED: %s seed %d: %s' % (name, seed, failure), flush=True)
        print('%-15s %d seeds, %d unexpected' % (
            name, options.seeds, sum(n for n, _, e in kinds.values() if not e)))
        if not options.quiet:
            print('    ' + ', '.join('%s %d' % (k.strip('+- '), n)
                                     for k, n in sorted(totals.items())))
        for kind, (count, (seed, text), expected) in sorted(kinds.items()):
            if expected:
                print('    limit: %d x %s (seed %d: %s)' % (count, kind, seed, text))
        sys.stdout.flush()
    return 1 if unexpected else 0


if __name__ == '__main__':
    sys.exit(main())
