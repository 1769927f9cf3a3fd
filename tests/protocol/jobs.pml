/* One job, two workers and whoever else touches it: claim, finish, give back, rescue, cancel, redrive.
 *
 * Each atomic block is one guarded statement of store/. Between two of them anything may happen: a worker
 * dies, or is declared lost and goes on as a zombie; another rescues; staff cancel, ask a run to end, or redrive.
 *
 *   invariant                                    kept by
 *   ---------                                    -------
 *   no finish without the claim                  the guard of store/lifecycle/finish.py: running, this worker, this number
 *   claim numbers only grow                      store/lifecycle/claim.py; nothing ever gives one back
 *   what has succeeded or is cancelled stays so  policy/states.py; the guards of claim, finish and rescue
 *   staff touch no job that runs                 store/selection.py: locked and looked at again
 *   tries are bounded by max_attempts            policy/decide.py
 *   worker deaths are bounded                    policy/decide.py, _after_loss
 *   what was asked to end runs no more           store/lifecycle/after_finish.py: a run that is to be followed by another was the last
 *   no job is lost                               store/lifecycle/rescue.py: what a lost worker holds is rescued
 *
 * Broken on purpose, to show that the checks bite: -DFENCE_BY_ATTEMPT, -DFINISH_BY_ID, -DRESCUE_WITHOUT_RECHECK,
 * -DNO_RESCUE, -DCANCEL_WITHOUT_RECHECK, -DFINISH_FORGETS_REQUEST, -DRESCUE_FORGETS_REQUEST.
 */
#define MAX_ATTEMPTS 2
#define MAX_DEATHS   2
#define MAX_LOSSES   2
#define MAX_RELEASES 1
#define MAX_REDRIVES 1
#define IDS          5   /* worker ids: nobody, two at the start, one more for each loss */

mtype = { ready, running, succeeded, cancelled, dead };

mtype state = ready;
byte attempt = 0, claim_number = 0, owner = 0, deaths = 0;

bool asked = false;      /* to end, while it ran */

bool lost[IDS];
byte next_id = 1, losses = 0, releases = 0, redrives = 0;

/* Ghosts: what really is, whatever the columns say. */
byte holder = 0;         /* the worker whose claim stands; 0: none */
byte holder_claim = 0;
bool has_succeeded = false, was_cancelled = false;

#define IS_FINAL (state == succeeded || state == cancelled || state == dead)

#ifdef FENCE_BY_ATTEMPT
#define HOLDS(me) (state == running && attempt == my_attempt)
#else
#ifdef FINISH_BY_ID
#define HOLDS(me) (state == running)
#else
#define HOLDS(me) (state == running && owner == me && claim_number == my_claim)
#endif
#endif

/* The run is over, and another is to follow. */
inline again() {
    if
    :: asked -> state = cancelled; was_cancelled = true
    :: else -> state = ready
    fi
}

#ifdef FINISH_FORGETS_REQUEST
#define AGAIN_AFTER_FINISH() state = ready
#else
#define AGAIN_AFTER_FINISH() again()
#endif
#ifdef RESCUE_FORGETS_REQUEST
#define AGAIN_AFTER_RESCUE() state = ready
#else
#define AGAIN_AFTER_RESCUE() again()
#endif

inline register(me) {
    d_step { me = next_id; next_id++; assert(next_id <= IDS) }
}

inline finish(me) {
    atomic {
        if
        :: HOLDS(me) ->
            assert(holder == me && holder_claim == my_claim);    /* no finish without the claim */
            holder = 0;
            if
            :: state = succeeded; has_succeeded = true
            :: attempt < MAX_ATTEMPTS -> AGAIN_AFTER_FINISH()    /* failed, and is tried again */
            :: attempt >= MAX_ATTEMPTS -> state = dead
            :: releases < MAX_RELEASES -> releases++; attempt--; AGAIN_AFTER_FINISH()    /* snoozed or given back */
            fi
        :: else -> skip                                          /* the claim was lost: nothing is written */
        fi
    }
}

active [2] proctype worker() {
    byte me, my_claim, my_attempt;
    register(me);
end:
    do
    :: atomic {
        state == ready ->
            assert(!has_succeeded && !was_cancelled && !asked);
            state = running; owner = me;
            attempt++; claim_number++;
            assert(attempt <= MAX_ATTEMPTS);
            my_attempt = attempt; my_claim = claim_number;
            holder = me; holder_claim = my_claim
       };
       if
       :: finish(me); my_claim = 0; my_attempt = 0
       :: atomic { losses < MAX_LOSSES && !lost[me] -> losses++; lost[me] = true }   /* it dies, and never finishes */
       fi
    :: lost[me] -> register(me)             /* a new process, or a zombie that heard of it by its heartbeat */
    od
}

/* Declares workers lost that are only frozen, or cut off; of those without a claim it makes no difference. */
active proctype maintenance() {
end:
    do
    :: atomic {
        losses < MAX_LOSSES && owner != 0 && !lost[owner] -> losses++; lost[owner] = true
       }
    od
}

#ifndef NO_RESCUE
active proctype rescuer() {
    byte seen_owner, seen_claim;
end:
    do
    :: atomic { state == running && lost[owner] -> seen_owner = owner; seen_claim = claim_number };
       atomic {
           if
#ifdef RESCUE_WITHOUT_RECHECK
           :: true ->
#else
           :: state == running && owner == seen_owner && claim_number == seen_claim ->
#endif
               holder = 0;
               deaths++;
               assert(deaths <= MAX_DEATHS);
               if
               :: deaths >= MAX_DEATHS -> state = dead
               :: else -> attempt--; AGAIN_AFTER_RESCUE()
               fi
#ifndef RESCUE_WITHOUT_RECHECK
           :: else -> skip                                       /* it finished, or was rescued, meanwhile */
#endif
           fi;
           seen_owner = 0; seen_claim = 0
       }
    od
}
#endif

active proctype staff() {
end:
    do
#ifdef CANCEL_WITHOUT_RECHECK
    :: state == ready -> atomic { assert(holder == 0); state = cancelled; was_cancelled = true }
#else
    :: atomic { state == ready -> assert(holder == 0); state = cancelled; was_cancelled = true }
#endif
    :: atomic { state == running && !asked -> asked = true }
    :: atomic { state == dead && redrives < MAX_REDRIVES -> assert(holder == 0);
           redrives++; attempt = 0; deaths = 0; asked = false; state = ready }
    od
}

/* When nobody can do anything any more, the job must have ended. */
active proctype no_job_is_lost() {
    timeout -> assert(IS_FINAL)
}
