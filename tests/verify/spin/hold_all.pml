/* Several mutexes at once (csrc/cpu/mutex/hold_all.cpp) beside one that wanders from stripe to
 * stripe (StripeHold): in the one order that everybody keeps nobody waits in a circle, whoever is
 * killed. A mutex is as in mutex.pml: a death unlocks it.
 */

#define NOBODY 255
#define ALL 2 /* processes that hold several */
#ifndef KILLS
#define KILLS 2
#endif

byte holder[3] = NOBODY;
bool killed[ALL + 1];

#define DIE d_step { \
  if :: holder[0] == me -> holder[0] = NOBODY :: else fi; \
  if :: holder[1] == me -> holder[1] = NOBODY :: else fi; \
  if :: holder[2] == me -> holder[2] = NOBODY :: else fi \
}

inline lock(i) { d_step { holder[i] == NOBODY -> holder[i] = me } }
inline unlock(i) { d_step { assert(holder[i] == me); holder[i] = NOBODY } }

#ifdef MISTAKE_OWN_ORDER /* each from a beginning of its own */
#define PLACE(k) ((k + me) % 3)
#else
#define PLACE(k) k
#endif
inline take(k) { if :: covers[PLACE(k)] -> lock(PLACE(k)) :: else fi }
inline give(k) { if :: covers[k] -> unlock(k) :: else fi }

/* All of those that it covers, which are any. */
proctype all(byte me) {
  bool covers[3];
  {
    atomic {
      if :: covers[0] = true :: skip fi;
      if :: covers[1] = true :: skip fi;
      if :: covers[2] = true :: skip fi
    };
    take(0);
    take(1);
    take(2);
    assert(!covers[0] || holder[0] == me);
    assert(!covers[1] || holder[1] == me);
    assert(!covers[2] || holder[2] == me);
    give(0);
    give(1);
    give(2)
  } unless { killed[me] };
  if :: killed[me] -> DIE :: else fi
}

/* One at a time, from any place and around. */
proctype wanderer(byte me) {
  byte start;
  {
    if :: start = 0 :: start = 1 :: start = 2 fi;
    lock(start);
#ifdef MISTAKE_HAND_OVER_HAND /* the next is locked before the last is unlocked */
    lock((start + 1) % 3);
    unlock(start);
#else
    unlock(start);
    lock((start + 1) % 3);
#endif
    unlock((start + 1) % 3)
  } unless { killed[me] };
  if :: killed[me] -> DIE :: else fi
}

proctype killer() {
  byte kills = KILLS;
  do
  :: kills > 0 -> kills--; if :: killed[0] = true :: killed[1] = true :: killed[2] = true fi
  :: break
  od
}

init {
  atomic { run all(0); run all(1); run wanderer(ALL); run killer() };
  _nr_pr == 1; /* all have ended: nobody waits for ever */
  assert(holder[0] == NOBODY && holder[1] == NOBODY && holder[2] == NOBODY)
}
