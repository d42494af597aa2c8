// A callable that is moved, never copied: closures may own sockets, buffers and other closures.
#pragma once

#include <absl/functional/any_invocable.h>

namespace witan {

template <class Signature>
using Function = absl::AnyInvocable<Signature>;

using Task = Function<void()>;

}  // namespace witan
