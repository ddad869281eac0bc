// Adds numbers in the order of a hash table. Keyed by address ("pointers") the order changes with every process, because the
// kernel places the heap somewhere else each time; keyed by number it does not.
#include <cstdio>
#include <cstring>
#include <memory>
#include <unordered_set>
#include <vector>

struct Item {
    double value;
};

// As libraries other than this compiler's own hash addresses.
struct Mix {
    std::size_t operator()(const Item* item) const { return reinterpret_cast<std::size_t>(item) * 0x9E3779B97F4A7C15u >> 20; }
};

int main(int argc, char** argv) {
    bool pointers = argc > 1 && std::strcmp(argv[1], "pointers") == 0;
    std::vector<std::unique_ptr<Item>> items;
    std::unordered_set<Item*, Mix> by_address;
    std::unordered_set<long> by_number;
    for (long number = 0; number < 10000; number++) {
        items.push_back(std::make_unique<Item>(Item{1.0 / (1 + number)}));
        by_address.insert(items.back().get());
        by_number.insert(number * 7919);
    }
    std::vector<double> sums;
    double sum = 0;
    if (pointers)
        for (Item* item : by_address) sums.push_back(sum += item->value);
    else
        for (long number : by_number) sums.push_back(sum += 1.0 / (1 + number / 7919));
    std::FILE* file = std::fopen("sums.bin", "wb");
    if (!file || std::fwrite(sums.data(), sizeof(double), sums.size(), file) != sums.size()) return 1;
    return std::fclose(file);
}
