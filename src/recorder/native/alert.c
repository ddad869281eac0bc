// Which operations PyTorch itself calls nondeterministic. Preloaded (LD_PRELOAD), this definition stands in front of
// libtorch's own, hears of every call even while deterministic algorithms are off, tells the recorder, and forwards.
// Loading the recorder with RTLD_GLOBAL would be too late: Python binds every symbol of libtorch when it loads it.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>

#define NAME _ZN2at7Context21alertNotDeterministicERKSt17basic_string_viewIcSt11char_traitsIcEE
#define TEXT2(name) #name
#define TEXT(name) TEXT2(name)

// std::string_view, as libstdc++ lays it out.
struct view {
  size_t size;
  const char* data;
};

typedef void (*alert_function)(const struct view*);

void NAME(const struct view* caller) {
  void (*tell)(const char*, size_t) = (void (*)(const char*, size_t))dlsym(RTLD_DEFAULT, "samebits_record_alert");
  if (tell) tell(caller->data, caller->size);
  static alert_function forward;
  if (!forward) {
    // Python keeps libtorch out of the global scope, so RTLD_NEXT may not find it; its own handle does.
    void* library = dlopen("libtorch_cpu.so", RTLD_NOW | RTLD_NOLOAD);
    forward = (alert_function)dlsym(library ? library : RTLD_NEXT, TEXT(NAME));
  }
  if (forward && forward != NAME) {
    forward(caller);
  } else {
    fprintf(stderr, "samebits: at::Context::alertNotDeterministic was not found: not forwarded\n");
  }
}
