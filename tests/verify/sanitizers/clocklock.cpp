// pthread_mutex_clocklock by way of pthread_mutex_timedlock, for a ThreadSanitizer that sees only
// that one (GCC 12's): it would take a lock that was waited for as not taken.
#include <pthread.h>

#include <cstdint>
#include <ctime>

extern "C" int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock,
                                       const timespec* until) {
  timespec now{};
  timespec at{};
  clock_gettime(clock, &now);
  clock_gettime(CLOCK_REALTIME, &at);
  const int64_t nanoseconds =
      (until->tv_sec - now.tv_sec) * 1'000'000'000 + until->tv_nsec - now.tv_nsec + at.tv_nsec;
  if (nanoseconds > 0) {
    at.tv_sec += nanoseconds / 1'000'000'000;
    at.tv_nsec = nanoseconds % 1'000'000'000;
  }
  return pthread_mutex_timedlock(mutex, &at);
}
