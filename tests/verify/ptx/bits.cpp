// Instructions that find, take and put bits.
#include <bit>

#include "number.h"

namespace ptx {

namespace {

// How far the first bit that is set has to be shifted to be the highest one.
void find_shift(Thread& t, const Instruction& i) {
  const auto a = get<uint32_t>(t, i.at[1]);
  set<uint32_t>(t, i.at[0], a == 0 ? ~0u : static_cast<uint32_t>(std::countl_zero(a)));
}

// So many bits from a place on, extended as the type says.
template <class T>
void extract(Thread& t, const Instruction& i) {
  const uint32_t place = get<uint8_t>(t, i.at[2]);
  const uint32_t count = get<uint8_t>(t, i.at[3]);
  if (count == 0 || place + count > kBits<T>) throw Error("bits that are not there");
  const auto low = get<std::make_unsigned_t<T>>(t, i.at[1]) << (kBits<T> - place - count);
  set<T>(t, i.at[0], static_cast<T>(low) >> (kBits<T> - count));
}

// The low bits of the first one, put into the second one.
template <class T>
void insert(Thread& t, const Instruction& i) {
  const uint32_t place = get<uint8_t>(t, i.at[3]);
  const uint32_t count = get<uint8_t>(t, i.at[4]);
  if (count >= kBits<T> || place + count > kBits<T>) throw Error("bits that are not there");
  const T mask = ((T{1} << count) - 1) << place;
  set<T>(t, i.at[0], (get<T>(t, i.at[1]) << place & mask) | (get<T>(t, i.at[2]) & ~mask));
}

void reverse(Thread& t, const Instruction& i) {
  const auto a = get<uint32_t>(t, i.at[1]);
  uint32_t result = 0;
  for (unsigned k = 0; k < 32; ++k) result |= (a >> k & 1) << (31 - k);
  set<uint32_t>(t, i.at[0], result);
}

// Bytes of two words, chosen by digits: the highest bit of one repeats the sign of its byte.
void permute(Thread& t, const Instruction& i) {
  const uint64_t bytes = get<uint32_t>(t, i.at[1]) | get<uint64_t>(t, i.at[2]) << 32;
  const auto digits = get<uint32_t>(t, i.at[3]);
  uint32_t result = 0;
  for (unsigned k = 0; k < 4; ++k) {
    const uint32_t digit = digits >> 4 * k & 0xF;
    auto byte = static_cast<uint8_t>(bytes >> 8 * (digit & 7));
    if ((digit & 8) != 0) byte = (byte & 0x80) != 0 ? 0xFF : 0;
    result |= uint32_t{byte} << 8 * k;
  }
  set<uint32_t>(t, i.at[0], result);
}

}  // namespace

Manner bits(const Parts& parts) {
  static const std::map<std::string, Step> steps{{"bfind.shiftamt.u32", find_shift},
                                                 {"brev.b32", reverse},
                                                 {"prmt.b32", permute},
                                                 {"bfe.u32", extract<uint32_t>},
                                                 {"bfe.s32", extract<int32_t>},
                                                 {"bfe.u64", extract<uint64_t>},
                                                 {"bfe.s64", extract<int64_t>},
                                                 {"bfi.b32", insert<uint32_t>},
                                                 {"bfi.b64", insert<uint64_t>}};
  const auto found = steps.find(joined(parts));
  return {found == steps.end() ? nullptr : found->second};
}

}  // namespace ptx
