"""Set and read back, inside a Python program under a gate, what its command line asks for.

torch calls `load` at the end of `import torch`, because this module's package declares an entry point in the group
`torch.backends`.  Nothing here may fail in a way that the program notices.
"""

import atexit
import json
import os
import random
import sys
import threading
import weakref


def _functions(torch, name):
    """How a knob is read and written that is no plain attribute, or None."""
    cuda = torch.backends.cuda
    names = {
        "sdp.flash": (cuda, "flash_sdp_enabled", "enable_flash_sdp"),
        "sdp.mem_efficient": (cuda, "mem_efficient_sdp_enabled", "enable_mem_efficient_sdp"),
        "sdp.math": (cuda, "math_sdp_enabled", "enable_math_sdp"),
        "sdp.cudnn": (cuda, "cudnn_sdp_enabled", "enable_cudnn_sdp"),
        "sdp.math_reduced": (cuda, "fp16_bf16_reduction_math_sdp_allowed", "allow_fp16_bf16_reduction_math_sdp"),
        "jit.optimize": (torch._C, "_get_graph_executor_optimize", "_set_graph_executor_optimize"),
    }
    owner, read, write = names.get(name, (None, "", ""))
    if hasattr(owner, read) and hasattr(owner, write):
        return getattr(owner, read), getattr(owner, write)
    return None


def _switch(torch, name):
    """The object and attribute behind a knob's name, or None where this torch has none."""
    table = {
        "cudnn.enabled": (torch.backends.cudnn, "enabled"),
        "cudnn.deterministic": (torch.backends.cudnn, "deterministic"),
        "cudnn.benchmark": (torch.backends.cudnn, "benchmark"),
        "mkldnn.enabled": (torch.backends.mkldnn, "enabled"),
        "fp32_precision.cuda.matmul": (torch.backends.cuda.matmul, "fp32_precision"),
        "fp32_precision.cuda.conv": (getattr(torch.backends.cudnn, "conv", None), "fp32_precision"),
        "fp32_precision.cuda.rnn": (getattr(torch.backends.cudnn, "rnn", None), "fp32_precision"),
        "fp32_precision.mkldnn.matmul": (getattr(torch.backends.mkldnn, "matmul", None), "fp32_precision"),
        "fp32_precision.mkldnn.conv": (getattr(torch.backends.mkldnn, "conv", None), "fp32_precision"),
        "fp32_precision.mkldnn.rnn": (getattr(torch.backends.mkldnn, "rnn", None), "fp32_precision"),
        "fp16_reduction": (torch.backends.cuda.matmul, "allow_fp16_reduced_precision_reduction"),
        "bf16_reduction": (torch.backends.cuda.matmul, "allow_bf16_reduced_precision_reduction"),
        "fp16_accumulation": (torch.backends.cuda.matmul, "allow_fp16_accumulation"),
    }
    owner, attribute = table.get(name, (None, None))
    try:
        getattr(owner, attribute)
    except Exception:
        return None
    return owner, attribute


def _read(torch, name):
    if name == "deterministic_algorithms":
        if not torch.are_deterministic_algorithms_enabled():
            return "off"
        return "warn" if torch.is_deterministic_algorithms_warn_only_enabled() else "strict"
    if name == "fill_uninitialized_memory":
        return str(bool(torch.utils.deterministic.fill_uninitialized_memory)).lower()
    if name == "threads.intraop":
        return str(torch.get_num_threads())
    if name == "threads.interop":
        return str(torch.get_num_interop_threads())
    functions = _functions(torch, name)
    if functions is not None:
        return str(bool(functions[0]())).lower()
    place = _switch(torch, name)
    if place is None:
        return None
    value = getattr(*place)
    if name in ("fp16_reduction", "bf16_reduction"):
        return "reduced" if value is True else "full" if value is False else str(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _write(torch, name, value):
    if name == "deterministic_algorithms":
        torch.use_deterministic_algorithms(value != "off", warn_only=value == "warn")
    elif name == "fill_uninitialized_memory":
        torch.utils.deterministic.fill_uninitialized_memory = value == "true"
    elif name == "threads.intraop":
        torch.set_num_threads(int(value))
    elif name == "threads.interop":
        torch.set_num_interop_threads(int(value))
    elif _functions(torch, name) is not None:
        _functions(torch, name)[1](value == "true")
    elif _switch(torch, name) is None:
        raise LookupError("this torch has no such switch in Python")
    else:
        owner, attribute = _switch(torch, name)
        if name in ("fp16_reduction", "bf16_reduction"):
            parsed = value == "reduced"
        else:
            parsed = {"true": True, "false": False}.get(value, value)
        setattr(owner, attribute, parsed)


def _seed(torch, seed):
    random.seed(seed)
    torch.manual_seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed % 2**32)


def _record(torch, path):
    """Loads the op recorder, and tells it which module runs."""
    import ctypes

    ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL).samebits_record_start()
    # These two take less time than letting go of the interpreter's lock.
    library = ctypes.PyDLL(path)
    push, pop = library.samebits_range_push, library.samebits_range_pop
    push.argtypes, push.restype, pop.argtypes, pop.restype = [ctypes.c_char_p], None, [], None
    compiling = torch.compiler.is_compiling
    names = weakref.WeakKeyDictionary()
    local = threading.local()

    def name(root, module):
        """The module's path below the outermost module that was called."""
        known = names.get(root)
        if known is None or id(module) not in known:
            known = {id(one): path.encode() for path, one in root.named_modules()}
            known[id(root)] = type(root).__name__.encode()
            names[root] = known
        return known.get(id(module)) or type(module).__name__.encode()

    def enter(module, args):
        if compiling():
            return
        try:
            running = local.__dict__.setdefault("running", [])
            push(name(running[0] if running else module, module))
            running.append(module)
        except Exception:  # The program must run as it would without us.
            pass

    def leave(module, args, output):
        if compiling():
            return
        try:
            running = local.__dict__.get("running", [])
            # More than one if a module inside it never came to its end.
            while any(one is module for one in running):
                pop()
                if running.pop() is module:
                    break
        except Exception:
            pass

    torch.nn.modules.module.register_module_forward_pre_hook(enter)
    torch.nn.modules.module.register_module_forward_hook(leave, always_call=True)


def load():
    """What torch calls."""
    order = os.environ.get("SAMEBITS_HOOK")
    torch = sys.modules.get("torch")
    if not order or torch is None:
        return
    try:
        _obey(torch, json.loads(order))
    except Exception as error:  # The program must run as it would without us.
        print(f"samebits: the hook failed: {error!r}", file=sys.stderr)


def _obey(torch, order):
    failed = {}
    for name, value in order["switches"]:
        try:
            _write(torch, name, value)
        except Exception as error:
            failed[name] = str(error)
    if order["seed"] is not None:
        _seed(torch, order["seed"])
    if order.get("recorder"):
        try:
            _record(torch, order["recorder"])
        except Exception as error:
            failed["recorder"] = str(error)
            print(f"samebits: no ops are recorded: {error!r}", file=sys.stderr)
    owner = os.getpid()

    def report():
        # A forked worker inherits this, and is not the program.
        if os.getpid() != owner:
            return
        found = {}
        for name in order["read"]:
            try:
                value = _read(torch, name)
            except Exception:
                value = None
            if value is not None:
                found[name] = value
        document = {"torch": str(torch.__version__), "root": os.path.dirname(torch.__file__), "program": sys.argv[0], "found": found, "failed": failed}
        path = os.path.join(order["folder"], f"{owner}.json")
        with open(path + ".part", "w", encoding="utf-8") as file:
            json.dump(document, file)
        os.replace(path + ".part", path)

    # Written now, in case the program ends without its exit handlers, and again at its end.
    report()
    atexit.register(report)
