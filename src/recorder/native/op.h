// Ops: what a schema says of one, looked up once.

#pragma once

#include "process.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/record_function.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace {

using at::RecordFunction;

struct Op {
  uint32_t number = 0;
  std::string name, overload;
  bool random = false;     // draws from a generator
  bool composite = false;  // made of other ops, which are recorded too: its outputs need no second look
  bool allocates = false;  // returns uninitialised memory
  bool metadata = false;   // changes shape, strides or storage, not elements
  bool touches = false;    // needs its inputs' shapes, not their elements
  bool views = false;      // may return what it was given
  bool native = false;     // PyTorch's own
  bool flying = false;     // a collective: its result arrives after its end
  bool adopts = false;     // its argument was filled from outside (torch.tensor)
  bool unreturned = false; // writes an argument that is not among its outputs
  std::vector<std::string> arguments;
  std::vector<bool> writes;      // by argument
  std::vector<int> returns;      // by output: the argument it is, written, or -1
  bool in_place = false;
};

Op describe(const c10::FunctionSchema& schema, const c10::OperatorHandle& handle) {
  Op op;
  op.name = schema.name();
  op.overload = schema.overload_name();
  const size_t colons = op.name.find("::");
  const std::string space = op.name.substr(0, colons), base = op.name.substr(colons + 2);
  auto starts = [&](const char* prefix) { return base.rfind(prefix, 0) == 0; };
  auto ends = [&](const char* suffix) {
    const size_t n = strlen(suffix);
    return base.size() >= n && base.compare(base.size() - n, n, suffix) == 0;
  };
  op.random = handle.hasTag(at::Tag::nondeterministic_seeded);
  // Only PyTorch's own: a custom op may be registered as composite and still write by other means.
  op.composite = space == "aten" && (handle.hasKernelForDispatchKey(c10::DispatchKey::CompositeImplicitAutograd) ||
                                     handle.hasKernelForDispatchKey(c10::DispatchKey::CompositeExplicitAutograd));
  op.allocates = space == "aten" && (starts("empty") || starts("new_empty") || starts("_empty"));
  op.metadata = handle.hasTag(at::Tag::inplace_view) || starts("resize_") || starts("set_") || base == "record_stream";
  op.flying = space == "c10d" || (space == "_c10d_functional" && base != "wait_tensor");
  op.touches = op.allocates || op.flying || starts("new_") || ends("_like");
  op.adopts = op.name == "aten::lift_fresh";
  op.native = space == "aten";
  for (const auto& result : schema.returns()) op.views |= result.alias_info() != nullptr && !result.alias_info()->isWrite();
  std::vector<int> written;
  for (const auto& argument : schema.arguments()) {
    const auto* alias = argument.alias_info();
    bool writes = alias != nullptr && alias->isWrite();
    // The batch norms write these without saying so.
    if (argument.name() == "running_mean" || argument.name() == "running_var") writes = true;
    if (writes) written.push_back(static_cast<int>(op.arguments.size()));
    op.arguments.push_back(argument.name());
    op.writes.push_back(writes && !op.metadata);
  }
  std::vector<bool> returned(op.arguments.size());
  for (const auto& result : schema.returns()) {
    int is = -1;
    if (result.alias_info() != nullptr && result.alias_info()->isWrite()) {
      for (int a : written) {
        const auto* alias = schema.arguments()[a].alias_info();
        if (alias != nullptr && alias->beforeSet() == result.alias_info()->beforeSet()) is = a;
      }
    }
    if (is >= 0) returned[is] = true;
    op.returns.push_back(is);
  }
  for (int a : written) op.unreturned |= !returned[a] && !op.metadata;
  op.in_place = !written.empty() && !op.metadata;
  return op;
}

// The op of a record, or null for what is no op (a backward node, a range).
const Op* op_of(const RecordFunction& fn) {
  const auto name = fn.operator_name();
  if (!name.has_value()) return nullptr;
  static auto& ops = *new std::map<std::pair<std::string, std::string>, std::unique_ptr<Op>>;
  std::lock_guard<std::mutex> lock(process().names);
  auto& op = ops[{name->name, name->overload_name}];
  if (op == nullptr) {
    const auto handle = c10::Dispatcher::singleton().findOp(*name);
    const auto schema = fn.operator_schema();
    if (!handle.has_value() || !schema.has_value()) return nullptr;
    auto made = std::make_unique<Op>(describe(*schema, *handle));
    made->number = static_cast<uint32_t>(ops.size());
    op = std::move(made);
  }
  return op.get();
}

}  // namespace
