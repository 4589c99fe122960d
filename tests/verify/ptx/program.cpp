#include "program.h"

#include <algorithm>
#include <regex>

#include "grid.h"

namespace ptx {

namespace {

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\n");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\n") + 1 - first);
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end = 0; end != std::string::npos; begin = end + 1) {
    end = text.find(at, begin);
    parts.push_back(trimmed(text.substr(begin, end - begin)));
  }
  return parts;
}

bool takes(std::string& text, const std::string& prefix) {
  if (!text.starts_with(prefix)) return false;
  text.erase(0, prefix.size());
  return true;
}

class Parser {
 public:
  Kernel kernel(const std::string& params, const std::string& body) {
    for (const std::string& each : split(params, ',')) {
      if (!each.empty()) add_param(each);
    }
    for (const std::string& each : split(body, ';')) add_statement(each);
    for (auto& [number, label] : branches_) {
      const auto found = labels_.find(label);
      if (found == labels_.end()) throw Error("there is no label " + label);
      kernel_.code[number].at = {{kZero, found->second}};
    }
    return std::move(kernel_);
  }

 private:
  // ".param .u64 .ptr .align 1 name" or ".param .align 8 .b8 name[2048]"; also of .local.
  size_t add_variable(const std::string& text, size_t& bytes, size_t* size_of = nullptr) {
    static const std::regex form(
        R"(\.(?:param|local) (?:\.align (\d+) )?\.[a-z](\d+) (?:\.ptr \.align \d+ )?([\w$]+)(?:\[(\d+)\])?)");
    std::smatch match;
    const std::string plain = std::regex_replace(text, std::regex("\\s+"), " ");
    if (!std::regex_match(plain, match, form)) throw Error("not known: " + plain);
    const size_t width = std::stoul(match[2]) / 8;
    const size_t align = match[1].matched ? std::stoul(match[1]) : width;
    const size_t size = width * (match[4].matched ? std::stoul(match[4]) : 1);
    const size_t offset = (bytes + align - 1) / align * align;
    bytes = offset + size;
    if (size_of != nullptr) *size_of = size;
    symbols_[match[3]] = {size_of != nullptr ? kParams : kLocals, offset};
    return offset;
  }

  void add_param(const std::string& text) {
    Param param{};
    param.offset = add_variable(text, param_bytes_, &param.size);
    kernel_.params.push_back(param);
  }

  void add_statement(std::string text) {
    static const std::regex label(R"(([$\w]+):\s*)");
    // The braces of inline assembly are scopes, whose names nvcc makes different.
    for (std::smatch match;;) {
      text = trimmed(text);
      if (takes(text, "{") || takes(text, "}")) continue;
      if (!std::regex_search(text, match, label, std::regex_constants::match_continuous)) break;
      labels_[match[1]] = kernel_.code.size();
      text = match.suffix();
    }
    if (text.empty() || text.starts_with(".pragma")) return;
    if (text.starts_with(".local")) return void(add_variable(text, kernel_.local_bytes));
    if (takes(text, ".reg")) return add_registers(text);
    add_instruction(text);
  }

  void add_registers(const std::string& text) {
    static const std::regex form(R"(\s*\.\w+\s+(%?\w+?)(?:<(\d+)>)?)");
    std::smatch match;
    if (!std::regex_match(text, match, form)) throw Error("not known: .reg" + text);
    const size_t count = match[2].matched ? std::stoul(match[2]) : 1;
    for (size_t k = 0; k < count; ++k) {
      const std::string name = match[1].str() + (match[2].matched ? std::to_string(k) : "");
      symbols_[name] = {kernel_.registers++, 0};
    }
  }

  void add_instruction(std::string text) {
    Instruction made;
    made.text = text;
    if (takes(text, "@")) {
      made.guarded_by = !takes(text, "!");
      const auto end = text.find_first_of(" \t");
      made.guard = operand(text.substr(0, end)).reg;
      text = trimmed(text.substr(end));
    }
    const auto end = std::min(text.find_first_of(" \t"), text.size());
    made.name = text.substr(0, end);
    text = trimmed(text.substr(end));
    const Parts parts = split(made.name, '.');
    for (const auto find : {branch, arithmetic, bits, comparison, conversion, memory, warp}) {
      if (made.manner.step == nullptr) made.manner = find(parts);
    }
    if (made.manner.step == nullptr) throw Error("not known: " + made.text);
    if (parts[0] == "bra") {
      branches_.emplace_back(kernel_.code.size(), text);
    } else if (!text.empty()) {
      made.first_is_vector = text[0] == '{';
      std::erase_if(text, [](char c) { return c == '{' || c == '}'; });
      std::replace(text.begin(), text.end(), '|', ',');
      for (const std::string& each : split(text, ',')) made.at.push_back(operand(each));
    }
    kernel_.code.push_back(std::move(made));
  }

  Operand operand(const std::string& text) const {
    static const std::map<std::string, Operand> known{
        {"%tid.x", {kTid, 0}},       {"%ctaid.x", {kCtaid, 0}}, {"%ntid.x", {kNtid, 0}},
        {"%nctaid.x", {kNctaid, 0}}, {"_", {kNowhere, 0}},      {"WARP_SZ", {kZero, 32}}};
    if (const auto found = known.find(text); found != known.end()) return found->second;
    if (const auto found = symbols_.find(text); found != symbols_.end()) return found->second;
    if (text.starts_with("[") && text.ends_with("]")) {
      const std::string inside = text.substr(1, text.size() - 2);
      const auto plus = inside.find('+');
      Operand address = operand(trimmed(inside.substr(0, plus)));
      if (plus != std::string::npos) address.number += number(trimmed(inside.substr(plus + 1)));
      return address;
    }
    return {kZero, number(text)};
  }

  static uint64_t number(const std::string& text) {
    static const std::regex integer(R"(-?(?:0[xX][0-9a-fA-F]+|\d+)U?)");
    static const std::regex real(R"(0(?:[fF][0-9a-fA-F]{8}|[dD][0-9a-fA-F]{16}))");
    if (std::regex_match(text, real)) return std::stoull(text.substr(2), nullptr, 16);
    if (!std::regex_match(text, integer)) throw Error("not known: the operand " + text);
    const bool negative = text[0] == '-';
    const uint64_t value = std::stoull(text.substr(negative ? 1 : 0), nullptr, 0);
    return negative ? -value : value;
  }

  static Manner branch(const Parts& parts) {
    if (parts == Parts{"ret"}) {
      return {[](Thread& thread, const Instruction&) { thread.next = kEnd; }};
    }
    if (parts != Parts{"bra"} && parts != Parts{"bra", "uni"}) return {};
    return {[](Thread& thread, const Instruction& i) { thread.next = i.at[0].number; }};
  }

  Kernel kernel_;
  size_t param_bytes_ = 0;
  std::map<std::string, Operand> symbols_;
  std::map<std::string, size_t> labels_;
  std::vector<std::pair<size_t, std::string>> branches_;
};

}  // namespace

std::map<std::string, Kernel> parse(std::string text) {
  for (size_t at = text.find("//"); at != std::string::npos; at = text.find("//", at)) {
    text.erase(at, text.find('\n', at) - at);
  }
  if (text.find(".func") != std::string::npos) throw Error("not known: .func");
  std::map<std::string, Kernel> kernels;
  const std::string entry = ".entry";
  for (size_t at = text.find(entry); at != std::string::npos; at = text.find(entry, at)) {
    const size_t params = text.find('(', at);
    const size_t params_end = text.find(')', params);
    const size_t body = text.find('{', params_end);
    size_t end = body;
    for (int depth = 0; end < text.size(); ++end) {
      depth += (text[end] == '{') - (text[end] == '}');
      if (depth == 0) break;
    }
    const std::string name = trimmed(text.substr(at + entry.size(), params - at - entry.size()));
    const std::string directives = trimmed(text.substr(params_end + 1, body - params_end - 1));
    if (!directives.empty()) throw Error("not known: " + directives);
    kernels[name] = Parser().kernel(text.substr(params + 1, params_end - params - 1),
                                    text.substr(body + 1, end - body - 1));
    at = end;
  }
  return kernels;
}

}  // namespace ptx
