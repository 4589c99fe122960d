/* A robust mutex of csrc/cpu/mutex/ and what becomes of it when processes are killed at any moment.
 *
 * What glibc and the kernel promise is taken as given: one step takes an unlocked mutex, the death
 * of an owner unlocks it and tells the next one, which may mark it consistent. All else is the
 * library's: each store to the slot is a step of its own. MISTAKE_x are mistakes that have to be
 * found.
 */

#ifndef PROCESSES
#define PROCESSES 3
#endif
#ifndef ROUNDS
#define ROUNDS 2 /* locks of each process */
#endif
#ifndef KILLS
#define KILLS 2
#endif
#define NOBODY 255

/* The slot, in shared memory. */
byte holder = NOBODY;
bool owner_died;        /* the bit in the lock word */
byte news;              /* header.news */
byte recoveries;        /* header.recoveries */
byte steps;             /* stripe.torn_and_in_step */
#define NONE 0
#define DIED 1
#define LOST 2

/* What really happened. */
bool killed[PROCESSES];
byte in_section;        /* how many believe that they hold the mutex */
bool inside[PROCESSES];
bool damaged;           /* a holder died, and nobody has repaired since what it may have left */
bool is_lost;           /* one was told, and unlocked without repair */
byte deaths;            /* of holders */
byte unmet;             /* those of holders who died before they counted the one they were told of */
byte torn;              /* deaths in the middle of a step */
bool in_step[PROCESSES];
bool told[PROCESSES];   /* of a death by the lock itself, and has not counted it yet */

/* One step of the kernel's after a kill. */
#define DIE d_step { \
  if :: holder == me -> \
    deaths++; \
    damaged = true; \
    if :: told[me] -> unmet++ :: else fi; \
    if :: in_step[me] -> torn++ :: else fi; \
    holder = NOBODY; \
    owner_died = true; \
  :: else fi; \
  if :: inside[me] -> in_section-- :: else fi; \
  inside[me] = false; \
  told[me] = false \
}

#ifdef MISTAKE_NOT_ROBUST /* the word of a dead owner stays */
#undef DIE
#define DIE d_step { if :: inside[me] -> in_section--; inside[me] = false :: else fi }
#endif

/* `left` is whether a death was left unrepaired. */
#define UNLOCK(left) d_step { \
  holder = NOBODY; \
  is_lost = is_lost || left; \
  if :: inside[me] -> in_section-- :: else fi; \
  inside[me] = false \
}

#define ENTER d_step { in_section++; inside[me] = true; assert(in_section == 1) }

/* pthread_mutex_lock: 0 or EOWNERDEAD, which is `told`. */
inline take() {
  d_step {
    holder == NOBODY ->
    holder = me;
    told[me] = owner_died
  }
  met = told[me]
}

/* note_death of robust_mutex.cpp */
inline note_death() {
  d_step { recoveries++; told[me] = false };
  if
  :: steps % 2 == 1 ->
#ifdef MISTAKE_TWO_STORES /* the step is ended, then counted */
     steps = steps - 1;
     steps = steps + 2
#else
     steps = steps + 1
#endif
  :: else
  fi;
  d_step { owner_died = false; assert(holder == me) } /* pthread_mutex_consistent */
}

/* lock() of robust_mutex.cpp, and outcome(): `status` is what the caller is told. `mine` is false
 * where the lock proves to be of other memory than the caller's. */
inline lock_mutex(mine) {
  take();
  heard = news;
  if
  :: met -> note_death(); if :: heard == NONE -> heard = DIED :: else fi
#ifdef MISTAKE_COUNT_AGAIN /* whoever is told counts */
  :: !met && heard == DIED -> recoveries++
#endif
  :: else
  fi;
  if
  :: mine && heard != LOST ->
     news = NONE;
     d_step {
       status = (heard == DIED -> DIED : NONE);
       assert(!is_lost);
       assert(status == DIED || !damaged)
     }
     ENTER
  :: else ->
#ifndef MISTAKE_NEWS_KEPT /* for oneself, by who has nothing to do with the death */
     news = heard;
#endif
     UNLOCK(false);
     status = LOST
  fi
}

/* unlock_with() of robust_mutex.cpp */
inline unlock_with(word, left) {
#ifdef MISTAKE_NEWS_AFTER /* the unlock */
  UNLOCK(left);
#endif
  if :: word != NONE -> news = word :: else fi;
#ifndef MISTAKE_NEWS_AFTER
  UNLOCK(left)
#endif
}

/* Mutex: repairs after a death, or not. */
inline use_mutex() {
  lock_mutex(true);
  if
  :: status == LOST
  :: status == NONE -> unlock_with(NONE, false)
  :: status == DIED ->
     if
     :: damaged = false; unlock_with(NONE, false) /* after consistent() */
#ifndef MISTAKE_FORGIVEN /* an unlock without it */
     :: true -> unlock_with(LOST, true)
#else
     :: true -> unlock_with(NONE, true)
#endif
     fi
  fi
}

/* OpLock: an op that is one store goes on after a death, and leaves the news to the next. */
inline use_op_lock() {
  lock_mutex(true);
  if
  :: status == LOST
  :: else ->
#ifndef MISTAKE_OP_TELLS_NOBODY
     unlock_with(status, false)
#else
     unlock_with(NONE, false)
#endif
  fi
}

/* Stripes: recovers without a word, counts, and marks a step over several tensors. */
inline use_stripe() {
  take();
  if
  :: met ->
     note_death();
#ifndef MISTAKE_STRIPE_TELLS_NOBODY
     if :: news == NONE -> news = DIED :: else fi
#endif
  :: else
  fi;
  if
  :: news == LOST
  :: else ->
     ENTER;
     assert(steps % 2 == 0);
     d_step { steps = steps + 1; in_step[me] = true };
     d_step { steps = steps - 1; in_step[me] = false }
  fi;
  UNLOCK(false)
}

proctype user(byte me) {
  byte round = ROUNDS;
  byte status;
  byte heard;
  bool met;
  {
    do
    :: round > 0 ->
       round--;
       if
       :: use_mutex()
       :: use_op_lock()
       :: use_stripe()
       :: lock_mutex(false)
       fi
    :: else -> break
    od
  } unless { killed[me] };
  if :: killed[me] -> DIE :: else fi
}

/* At any moment. */
proctype killer() {
  byte kills = KILLS;
  do
  :: kills > 0 -> kills--; if
     :: killed[0] = true
     :: killed[1] = true
#if PROCESSES > 2
     :: killed[2] = true
#endif
     fi
  :: break
  od
}

init {
  atomic {
    byte i = 0;
    do
    :: i < PROCESSES -> run user(i); i++
    :: else -> break
    od;
    run killer()
  };
  _nr_pr == 1; /* all have ended: nobody waits for ever */
  assert(in_section == 0);
  assert(holder == NOBODY);
  /* Each death was counted once, but for one that waits for a locker. */
  assert(torn == steps / 2 + steps % 2);
  assert(deaths == recoveries + unmet + (owner_died -> 1 : 0))
}
