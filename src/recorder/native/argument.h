// The arguments that are no tensors.

#pragma once

#include "stream.h"

#include <cstdio>

namespace {

// Calls `visit(tensor, place in its list or -1)` for each tensor of an argument.
template <class F>
void each_tensor(const IValue& value, int64_t item, F&& visit) {
  if (value.isTensor()) {
    visit(value.toTensor(), item);
  } else if (value.isList()) {
    int64_t i = 0;
    for (const IValue& one : value.toListRef()) each_tensor(one, i++, visit);
  } else if (value.isTuple()) {
    int64_t i = 0;
    for (const IValue& one : value.toTupleRef().elements()) each_tensor(one, i++, visit);
  }
}

// Bytes that are equal exactly when the text would be: the text is made only when they are new.
void add_key(std::string& key, const IValue& v) {
  auto raw = [&](char tag, const void* data, size_t size) {
    key += tag;
    key.append(static_cast<const char*>(data), size);
  };
  if (v.isTensor()) {
    key += 'T';
  } else if (v.isNone()) {
    key += 'N';
  } else if (v.isInt()) {
    const int64_t x = v.toInt();
    raw('i', &x, 8);
  } else if (v.isDouble()) {
    const double x = v.toDouble();
    raw('d', &x, 8);
  } else if (v.isBool()) {
    key += v.toBool() ? 't' : 'f';
  } else if (v.isString()) {
    const auto& x = v.toStringRef();
    const size_t size = x.size();
    raw('s', &size, 8);
    key += x;
  } else if (v.isDevice()) {
    const auto x = v.toDevice();
    const int device[2] = {static_cast<int>(x.type()), x.index()};
    raw('v', device, sizeof device);
  } else if (v.isComplexDouble()) {
    const auto x = v.toComplexDouble();
    raw('c', &x, 16);
  } else if (v.isList()) {
    key += '[';
    for (const IValue& one : v.toListRef()) add_key(key, one);
    key += ']';
  } else {
    key += '?';
    key += v.tagKind();
  }
}

void add_double(std::string& out, double x) {
  char text[40];
  // The shortest decimal that means this number.
  for (int digits = 6; digits <= 17; digits += digits == 6 ? 9 : 1) {
    snprintf(text, sizeof text, "%.*g", digits, x);
    if (strtod(text, nullptr) == x) break;
  }
  out += text;
}

void add_text(std::string& out, const IValue& v) {
  if (v.isInt()) {
    out += std::to_string(v.toInt());
  } else if (v.isDouble()) {
    add_double(out, v.toDouble());
  } else if (v.isBool()) {
    out += v.toBool() ? "True" : "False";
  } else if (v.isString()) {
    out += '\'' + v.toStringRef() + '\'';
  } else if (v.isDevice()) {
    out += v.toDevice().str();
  } else if (v.isComplexDouble()) {
    out += '(';
    add_double(out, v.toComplexDouble().real());
    out += ',';
    add_double(out, v.toComplexDouble().imag());
    out += ')';
  } else if (v.isList()) {
    out += '[';
    const char* comma = "";
    for (const IValue& one : v.toListRef()) {
      out += comma;
      add_text(out, one);
      comma = ",";
    }
    out += ']';
  } else {
    out += v.isNone() ? "None" : v.tagKind();
  }
}

bool holds_tensors(const IValue& v) {
  return v.isTensor() || v.isTensorList() || v.isOptionalTensorList();
}

uint32_t scalars_id(Stream& s, const Op* op, c10::ArrayRef<const IValue> inputs) {
  s.key.clear();
  const uint32_t number = op != nullptr ? op->number : 0;
  s.key.append(reinterpret_cast<const char*>(&number), sizeof number);
  bool any = false;
  for (const IValue& v : inputs) {
    if (holds_tensors(v)) {
      s.key += 'T';
    } else {
      add_key(s.key, v);
      any |= !v.isNone();
    }
  }
  if (!any) return 0;
  const auto found = s.scalars.find(s.key);
  if (found != s.scalars.end()) return found->second;
  std::string text;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (holds_tensors(inputs[i]) || inputs[i].isNone()) continue;
    if (!text.empty()) text += ' ';
    text += op != nullptr && i < op->arguments.size() ? op->arguments[i] : std::to_string(i);
    text += '=';
    add_text(text, inputs[i]);
  }
  if (text.size() > 300) {
    char hash[24];
    snprintf(hash, sizeof hash, "…%016llx",
             static_cast<unsigned long long>(lanes_at(0, reinterpret_cast<const uint8_t*>(text.data()), text.size()).sum));
    size_t cut = 280;
    while (cut > 0 && (text[cut] & 0xc0) == 0x80) --cut;
    text = text.substr(0, cut) + hash;
  }
  if (s.scalars.size() > 100000) s.scalars.clear();
  return s.scalars[s.key] = s.intern(text);
}

}  // namespace
