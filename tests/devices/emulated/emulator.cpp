// The scheduler of emulator.h, and what the tests call.

#include "emulator.h"

namespace emulator {

Index block, block_size, grid_size;
std::vector<Fiber> fibers;
int current = 0;
std::vector<unsigned char> dynamic_shared;

static const Kernel* kernel;
static const uint64_t* arguments;
static void* scheduler_stack;

constexpr std::size_t STACK = 64 << 10;
static std::vector<unsigned char> stacks;

#if defined(__x86_64__)

// Saves what the calling convention lets a function keep, and goes on where the other stack left off.
asm(R"(
    .text
    .globl so8t_switch_stacks
so8t_switch_stacks:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");
extern "C" void so8t_switch_stacks(void** from, void* to);

static void* fresh_stack(unsigned char* top, void (*entry)()) {
    // Seven places: six registers, and the address that `ret` takes; then the stack is as after a call.
    auto** place = (void**)((uintptr_t)top & ~(uintptr_t)15) - 2;
    *place = (void*)entry;
    for (int i = 0; i < 6; i++) *--place = nullptr;
    return place;
}

#elif defined(__aarch64__)

asm(R"(
    .text
    .globl so8t_switch_stacks
so8t_switch_stacks:
    sub sp, sp, #176
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #176
    ret
)");
extern "C" void so8t_switch_stacks(void** from, void* to);

static void* fresh_stack(unsigned char* top, void (*entry)()) {
    auto* place = (uint64_t*)(((uintptr_t)top & ~(uintptr_t)15) - 176);
    std::memset(place, 0, 176);
    place[11] = (uint64_t)entry;
    return place;
}

#else
#error "the emulator knows x86-64 and 64-bit ARM"
#endif

static void leave() { so8t_switch_stacks(&fibers[current].stack_pointer, scheduler_stack); }

void wait(State state) {
    fibers[current].state = state;
    leave();
}

static void begin() {
    kernel->call(arguments);
    fibers[current].state = Done;
    leave();
}

// Wakes everyone of first..first + count if nobody is still running; the finished do not count.
static bool release(int first, int count, State barrier) {
    bool any = false;
    for (int i = first; i < first + count; i++) {
        if (fibers[i].state == barrier) any = true;
        else if (fibers[i].state != Done) return false;
    }
    for (int i = first; any && i < first + count; i++)
        if (fibers[i].state == barrier) fibers[i].state = Ready;
    return any;
}

static void run_block(int threads, bool descending) {
    // Memory that nothing was written to holds NaN.
    std::memset(dynamic_shared.data(), 0xff, dynamic_shared.size());
    for (int i = 0; i < threads; i++) {
        fibers[i].state = Ready;
        fibers[i].groups.clear();
        fibers[i].open.clear();
        fibers[i].thread = {(unsigned)i, 0, 0};
        fibers[i].stack_pointer = fresh_stack(stacks.data() + (i + 1) * STACK, begin);
    }
    for (;;) {
        bool moved = false;
        // A warp at a time, until all of it waits for the block.
        for (int w = 0; w < threads / 32; w++) {
            int warp = descending ? threads / 32 - 1 - w : w;
            do {
                for (int l = 0; l < 32; l++) {
                    current = warp * 32 + (descending ? 31 - l : l);
                    if (fibers[current].state != Ready) continue;
                    so8t_switch_stacks(&scheduler_stack, fibers[current].stack_pointer);
                    moved = true;
                }
            } while (release(warp * 32, 32, AtWarp));
        }
        if (release(0, threads, AtBlock)) moved = true;
        bool done = true;
        for (int i = 0; i < threads; i++) done = done && fibers[i].state == Done;
        if (done) return;
        if (!moved) {
            std::fprintf(stderr, "kernel `%s`, block %u, %u: threads wait for each other\n", kernel->name, block.x, block.y);
            std::abort();
        }
    }
}

}  // namespace emulator

extern const emulator::Family so8t_families[];

// Runs a kernel whose parameters are of the given kinds; returns 0, or 1 for no such kernel, 2 for other parameters.
extern "C" int so8t_launch(const char* family, const char* name, const char* parameters, const unsigned grid[3], unsigned threads, unsigned shared,
                           const uint64_t* arguments, int descending) {
    using namespace emulator;
    const Kernel* found = nullptr;
    for (auto* one = so8t_families; one->name; one++)
        if (std::strcmp(one->name, family) == 0) found = one->kernels;
    while (found && found->name && std::strcmp(found->name, name) != 0) found++;
    if (!found || !found->name) return 1;
    if (std::strcmp(found->parameters, parameters) != 0) {
        std::fprintf(stderr, "kernel `%s` takes `%s`, not `%s`\n", name, found->parameters, parameters);
        return 2;
    }
    if (threads % 32 != 0 || threads > 1024 || grid[1] > 65535 || grid[2] != 1) {
        std::fprintf(stderr, "kernel `%s`: no GPU starts %u threads in %u, %u, %u blocks\n", name, threads, grid[0], grid[1], grid[2]);
        return 3;
    }
    kernel = found;
    ::emulator::arguments = arguments;
    if (fibers.size() < threads) fibers.resize(threads);
    if (stacks.size() < threads * STACK) stacks.resize(threads * STACK);
    dynamic_shared.assign(shared, 0);
    block_size = {threads, 1, 1};
    grid_size = {grid[0], grid[1], 1};
    for (block.y = 0; block.y < grid[1]; block.y++)
        for (block.x = 0; block.x < grid[0]; block.x++) run_block(threads, descending != 0);
    return 0;
}
