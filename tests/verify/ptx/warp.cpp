// Instructions that the lanes of a warp do together. All that one of them names have to come to the
// same instruction and to name the same ones.
#include "number.h"

namespace ptx {

namespace {

template <class F>
void for_each(uint32_t lanes, F f) {
  for (unsigned k = 0; k < kLanes; ++k) {
    if ((lanes >> k & 1) != 0) f(k);
  }
}

// Finish(t, i): what all of t.lanes do when the last has come, t.
template <void (*finish)(Thread&, const Instruction&)>
void meet(Thread& t, const Instruction& i) {
  t.lanes = get<uint32_t>(t, i.at.back());
  if ((t.lanes >> t.number % kLanes & 1) == 0) throw Error("a lane that is not of its own mask");
  t.waits = &i;
  bool all = true;
  for_each(t.lanes, [&](unsigned k) {
    const Thread& other = t.grid->lane(t, k);
    all = all && other.waits == &i && other.lanes == t.lanes;
  });
  if (!all) return;
  finish(t, i);
  for_each(t.lanes, [&](unsigned k) {
    Thread& other = t.grid->lane(t, k);
    other.waits = nullptr;
    if (&other != &t) t.grid->wake(other);
  });
}

// Which lanes go together is nowhere said: any of those that are at this instruction do.
void active(Thread& t, const Instruction& i) {
  const size_t here = t.next - 1;
  const auto chosen = static_cast<uint32_t>(t.grid->draw());
  t.lanes = uint32_t{1} << t.number % kLanes;
  for_each(chosen, [&](unsigned k) {
    if (t.grid->lane(t, k).next == here) t.lanes |= uint32_t{1} << k;
  });
  for_each(t.lanes, [&](unsigned k) {
    Thread& lane = t.grid->lane(t, k);
    set<uint32_t>(lane, i.at[0], t.lanes);
    lane.next = here + 1;
  });
}

// Those of t.lanes where f(lane) is true.
template <class F>
uint32_t those(Thread& t, F f) {
  uint32_t lanes = 0;
  for_each(t.lanes, [&](unsigned k) { lanes |= uint32_t{f(t.grid->lane(t, k))} << k; });
  return lanes;
}

void ballot(Thread& t, const Instruction& i) {
  const uint32_t yes = those(t, [&](const Thread& lane) { return get<bool>(lane, i.at[1]); });
  for_each(t.lanes, [&](unsigned k) { set<uint32_t>(t.grid->lane(t, k), i.at[0], yes); });
}
void any(Thread& t, const Instruction& i) {
  const uint32_t yes = those(t, [&](const Thread& lane) { return get<bool>(lane, i.at[1]); });
  for_each(t.lanes, [&](unsigned k) { set<bool>(t.grid->lane(t, k), i.at[0], yes != 0); });
}

void match(Thread& t, const Instruction& i) {
  uint32_t found[kLanes];
  for_each(t.lanes, [&](unsigned k) {
    const auto value = get<uint64_t>(t.grid->lane(t, k), i.at[1]);
    found[k] = those(t, [&](const Thread& lane) { return get<uint64_t>(lane, i.at[1]) == value; });
  });
  for_each(t.lanes, [&](unsigned k) { set<uint32_t>(t.grid->lane(t, k), i.at[0], found[k]); });
}

// Of one segment, the whole warp: another one is nowhere asked for.
void shuffle(Thread& t, const Instruction& i) {
  uint32_t got[kLanes];
  for_each(t.lanes, [&](unsigned k) {
    const Thread& lane = t.grid->lane(t, k);
    const auto from = get<uint32_t>(lane, i.at[3]);
    if (get<uint32_t>(lane, i.at[4]) != kLanes - 1) throw Error("not known: segments");
    if (from >= kLanes || (t.lanes >> from & 1) == 0) throw Error("from a lane that is not there");
    got[k] = get<uint32_t>(t.grid->lane(t, from), i.at[2]);
  });
  for_each(t.lanes, [&](unsigned k) {
    set<uint32_t>(t.grid->lane(t, k), i.at[0], got[k]);
    set<bool>(t.grid->lane(t, k), i.at[1], true);
  });
}

}  // namespace

Manner warp(const Parts& parts) {
  static const std::map<Parts, Step> steps{{{"vote", "sync", "ballot", "b32"}, meet<ballot>},
                                           {{"vote", "sync", "any", "pred"}, meet<any>},
                                           {{"match", "any", "sync", "b64"}, meet<match>},
                                           {{"shfl", "sync", "idx", "b32"}, meet<shuffle>},
                                           {{"activemask", "b32"}, active}};
  const auto found = steps.find(parts);
  if (found == steps.end()) return {};
  return {found->second, true};
}

}  // namespace ptx
