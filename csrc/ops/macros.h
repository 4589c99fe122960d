// The one macro of the op structs: host and device when nvcc compiles, nothing otherwise.
#pragma once

#ifdef __CUDACC__
#define ATOMICS_HD __host__ __device__
#else
#define ATOMICS_HD
#endif
