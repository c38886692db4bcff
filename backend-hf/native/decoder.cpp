// One step of a decoder-only transformer on the CPU: many sequences' tokens in, logits out.
//
// The caller (hf_batched.py) packs the weights, owns all memory and fills the structures below; hf_readers.py has the
// models that can be put so. Nothing is allocated here but scratch space, nothing is kept between calls but the caches.
//
// Numbers: weights and caches are bfloat16 or float32, the residual stream and every sum are float32. A sum's order
// depends on neither the number of threads nor on what else is in the batch, so a sequence's logits do not either.
//
// Layouts. A *unit* is what one lane multiplies at once: two bfloat16 (the lower half first) or one float32. Sixteen
// columns make a *panel*.
//   weights      [columns / 16][depth in units][16]
//   quantized    [columns / 16][depth / 2][16] pairs of integers, scaled after each group is summed
//   activations  [rows / 8][depth in units][8]
//   keys         [slot][kv head][positions / 16][head size in units][16 positions]
//   values       [slot][kv head][head size / 16][positions in units][16 dimensions]
// All four are the same matrix product's operands: queries by keys, and probabilities by values, are products too.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include <omp.h>

#ifdef __AVX512BW__
#include <immintrin.h>
#endif

namespace {

typedef float vfloat __attribute__((vector_size(64)));
typedef uint32_t vuint __attribute__((vector_size(64)));
typedef int32_t vint __attribute__((vector_size(64)));

constexpr int LANES = 16, TILE = 8, BLOCK_TILES = 12, GROUP = 32;

enum Norm { NO_NORM = 0, RMS_NORM = 1, LAYER_NORM = 2 };
enum Activation { SILU = 0, GELU_TANH = 1, GELU_ERF = 2, RELU = 3 };
enum Rotation { NO_ROTATION = 0, HALVES = 1, PAIRS = 2 };

}  // namespace

extern "C" {

struct Normalizer {
    const float *weight, *bias;  // bias may be null
    float epsilon;
    int32_t kind;
};

struct Linear {
    const void *weight;
    const float *bias;  // may be null; padded as the columns are
    int64_t columns, depth;  // both padded: to 16, and to whole units; where quantized to whole groups
    const float *scales;  // [columns / 16][depth / 32][16]; null where the weights are as the activations
    int32_t bits, unused;  // of a quantized weight, 8 or 4: signed bytes, or nibbles (the lower one first) less 8
};

struct Layer {
    Normalizer attention_norm, mlp_norm, post_attention_norm, post_mlp_norm, query_norm, key_norm;
    Linear qkv, out, gate, up, down;  // gate.weight is null where the activation is of `up` alone
    const float *rotation;  // [positions][rotated / 2][cosine, sine]; null for none
    void *keys, *values;
    int32_t window;  // positions that a token sees, itself included; 0: all
    int32_t unused;
};

struct Decoder {
    int32_t layers, hidden, heads, kv_heads, head_size, padded_head_size, positions, rotated;
    int32_t rotation_kind, activation, is_parallel, is_float32, threads, position_offset;
    float attention_scale, attention_cap, logit_cap, embedding_scale;
    const Layer *layer;
    const void *embedding;  // [vocabulary][hidden], row by row; null: the head's weights are taken
    const void *position_embedding;  // float32 [positions][hidden]; null for none
    const float *alibi;  // a slope for each head; null for none
    Normalizer embedding_norm, final_norm;
    Linear head;
};

struct LowRank {  // what an adapter adds to a product of the same input: up(down(input)); no weight: nothing
    Linear down, up;
};

struct LayerAdapter {
    LowRank qkv, out, gate, up, down;
};

struct Group {  // rows [row, row + count) are those of sequences that have the adapter
    const LayerAdapter *layer;
    int64_t row, count;
};

struct Span {  // one sequence's share of the step: rows [row, row + count) at positions from `start` on
    int32_t slot, start, row, count;
};

}  // extern "C"

namespace {

// ---- numbers ----

inline float from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

inline uint32_t to_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

inline uint16_t to_bfloat16(float value) {  // to the nearest, ties to even; a NaN stays one
    uint32_t bits = to_bits(value);
    if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
    return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

inline vfloat splat(float value) { return vfloat{} + value; }

inline vfloat load(const float *from) {
    vfloat value;
    memcpy(&value, from, sizeof value);
    return value;
}

inline void store(float *to, vfloat value) { memcpy(to, &value, sizeof value); }

inline vfloat larger(vfloat a, vfloat b) { return a > b ? a : b; }

inline float sum_of(vfloat v) {
    float total = 0;
    for (int i = 0; i < LANES; i++) total += v[i];
    return total;
}

// e^x for x <= 88, by Cody and Waite's reduction and a polynomial; below -87 it is 0.
inline vfloat exp_of(vfloat x) {
    const vfloat clamped = larger(x, splat(-87.0f));
    const vfloat shifted = clamped * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: rounds to an integer
    const vfloat n = shifted - 12582912.0f;
    const vfloat r = clamped - n * 0.693359375f + n * 2.12194440e-4f;
    vfloat p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const vint power = (__builtin_convertvector(n, vint) + 127) << 23;
    const vfloat result = p * (vfloat)power;
    return x < -87.0f ? vfloat{} : result;
}

inline vfloat activated(vfloat x, int kind) {
    switch (kind) {
    case SILU: {
        const vfloat limited = larger(x, splat(-80.0f));  // e^80 does not overflow, and beyond it the result is 0
        return x / (1.0f + exp_of(-limited));
    }
    case GELU_TANH: {
        vfloat y = 1.5957691216f * (x + 0.044715f * x * x * x);  // x * sigmoid(2 z) is x / 2 * (1 + tanh z)
        y = larger(y, splat(-80.0f));
        return x / (1.0f + exp_of(-y));
    }
    case RELU:
        return larger(x, vfloat{});
    default: {
        vfloat result;
        for (int i = 0; i < LANES; i++) result[i] = 0.5f * x[i] * (1.0f + erff(x[i] * 0.70710678f));
        return result;
    }
    }
}

// ---- units ----

// Sixteen numbers of which each pair becomes a unit, `stride` units apart.
inline void put_units(vfloat values, uint32_t *to, int64_t stride) {
    vuint bits = (vuint)values;
    bits = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;  // to_bfloat16, but for NaNs, of which a few may become infinite
    for (int i = 0; i < LANES; i += 2) to[i / 2 * stride] = bits[i] | bits[i + 1] << 16;
}

inline void put_units(vfloat values, float *to, int64_t stride) {
    for (int i = 0; i < LANES; i++) to[i * stride] = values[i];
}

template <class Unit> struct Of;
template <> struct Of<float> {
    typedef vfloat Vector;
    typedef float Stored;
    static constexpr int PER_UNIT = 1;
    static float stored(float value) { return value; }
    static float value(float stored) { return stored; }
};
template <> struct Of<uint32_t> {
    typedef vuint Vector;
    typedef uint16_t Stored;
    static constexpr int PER_UNIT = 2;
    static uint16_t stored(float value) { return to_bfloat16(value); }
    static float value(uint16_t stored) { return from_bits(uint32_t(stored) << 16); }
};

inline vfloat multiply_add(vfloat sum, vfloat w, float a) { return sum + w * a; }

inline vfloat multiply_add(vfloat sum, vuint w, uint32_t a) {
#ifdef __AVX512BF16__
    return (vfloat)_mm512_dpbf16_ps((__m512)sum, (__m512bh)w, (__m512bh)_mm512_set1_epi32(a));
#else
    sum += (vfloat)(w << 16) * from_bits(a << 16);
    return sum + (vfloat)(w & 0xffff0000u) * from_bits(a & 0xffff0000u);
#endif
}

// ROWS rows of activations by one or two panels: sums[row][panel] over `depth` units.
template <class Unit, int ROWS, int PANELS>
inline void product(const Unit *rows, const typename Of<Unit>::Vector *first, const typename Of<Unit>::Vector *second,
                    int64_t depth, vfloat (*sums)[2]) {
    vfloat sum[ROWS][PANELS] = {};
    for (int64_t k = 0; k < depth; k++) {
        const auto a = first[k];
        const auto b = PANELS == 2 ? second[k] : a;
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; r++) {
            const Unit x = rows[k * TILE + r];
            sum[r][0] = multiply_add(sum[r][0], a, x);
            if (PANELS == 2) sum[r][PANELS - 1] = multiply_add(sum[r][PANELS - 1], b, x);
        }
    }
    for (int r = 0; r < ROWS; r++)
        for (int p = 0; p < PANELS; p++) sums[r][p] = sum[r][p];
}

template <class Unit, int PANELS>
inline void product(int count, const Unit *rows, const typename Of<Unit>::Vector *first,
                    const typename Of<Unit>::Vector *second, int64_t depth, vfloat (*sums)[2]) {
    switch (count) {
    case 1: return product<Unit, 1, PANELS>(rows, first, second, depth, sums);
    case 2: return product<Unit, 2, PANELS>(rows, first, second, depth, sums);
    case 3: return product<Unit, 3, PANELS>(rows, first, second, depth, sums);
    case 4: return product<Unit, 4, PANELS>(rows, first, second, depth, sums);
    case 5: return product<Unit, 5, PANELS>(rows, first, second, depth, sums);
    case 6: return product<Unit, 6, PANELS>(rows, first, second, depth, sums);
    case 7: return product<Unit, 7, PANELS>(rows, first, second, depth, sums);
    default: return product<Unit, 8, PANELS>(rows, first, second, depth, sums);
    }
}

// Activations in tiles of eight rows.
template <class Unit> struct Tiles {
    typedef typename Of<Unit>::Stored Stored;
    static constexpr int PER_UNIT = Of<Unit>::PER_UNIT;
    Unit *data;
    int64_t depth;  // in units

    const Unit *tile(int64_t index) const { return data + index * depth * TILE; }

    Unit *unit(int64_t row, int64_t column) {
        return data + ((row / TILE) * depth + column / PER_UNIT) * TILE + row % TILE;
    }

    void set(int64_t row, int64_t column, float value) {
        reinterpret_cast<Stored *>(unit(row, column))[column % PER_UNIT] = Of<Unit>::stored(value);
    }

    void set(int64_t row, int64_t column, vfloat values) { put_units(values, unit(row, column), TILE); }  // sixteen
};

// ---- quantized weights ----

typedef uint8_t vbytes __attribute__((vector_size(16)));
typedef uint16_t vshort __attribute__((vector_size(32)));

// The two integers of each column in a pair of a panel.
inline void unpack_pair(const Linear &linear, int64_t pair, vint &even, vint &odd) {
    if (linear.bits == 8) {
        vshort stored;
        memcpy(&stored, static_cast<const uint8_t *>(linear.weight) + pair * 32, sizeof stored);
        const vint wide = __builtin_convertvector(stored, vint);
        even = (wide << 24) >> 24;
        odd = (wide << 16) >> 24;
    } else {
        vbytes stored;
        memcpy(&stored, static_cast<const uint8_t *>(linear.weight) + pair * 16, sizeof stored);
        const vint wide = __builtin_convertvector(stored, vint);
        even = (wide & 15) - 8;
        odd = (wide >> 4) - 8;
    }
}

inline void unpack(const Linear &linear, int64_t pair, vfloat *to) {
    vint even, odd;
    unpack_pair(linear, pair, even, odd);
    to[0] = __builtin_convertvector(even, vfloat);
    to[1] = __builtin_convertvector(odd, vfloat);
}

inline void unpack(const Linear &linear, int64_t pair, vuint *to) {  // so small an integer is a bfloat16 exactly
#ifdef __AVX512BW__
    if (linear.bits == 4) {  // looked up
        typedef uint16_t vhalves __attribute__((vector_size(64)));
        static const vhalves VALUES = {0xc100, 0xc0e0, 0xc0c0, 0xc0a0, 0xc080, 0xc040, 0xc000, 0xbf80,
                                       0x0000, 0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0, 0x40e0};
        const void *stored = static_cast<const uint8_t *>(linear.weight) + pair * 16;
        const vuint wide = (vuint)_mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i *>(stored)));
        *to = (vuint)_mm512_permutexvar_epi16((__m512i)((wide & 15) | (wide >> 4) << 16), (__m512i)VALUES);
        return;
    }
#endif
    vint even, odd;
    unpack_pair(linear, pair, even, odd);
    *to = (vuint)__builtin_convertvector(even, vfloat) >> 16 |
          ((vuint)__builtin_convertvector(odd, vfloat) & 0xffff0000u);
}

// The integers of one group of a panel.
template <class Unit>
void unpack_group(const Linear &linear, int64_t panel, int64_t group, typename Of<Unit>::Vector *to) {
    const int64_t first = (panel * linear.depth + group * GROUP) / 2;
    for (int64_t pair = 0; pair < GROUP / 2; pair++) unpack(linear, first + pair, to + pair * 2 / Of<Unit>::PER_UNIT);
}

inline const float *scales_of(const Linear &linear, int64_t panel) {
    return linear.scales + panel * (linear.depth / GROUP) * LANES;
}

struct Range {
    int64_t begin, end;
};

inline Range share(int64_t count, int part, int parts) { return {count * part / parts, count * (part + 1) / parts}; }

// Two panels whose products are wanted: of one matrix, or the same one of two.
struct Panels {
    const Linear *first, *second;
    int64_t first_panel, second_panel;
    bool is_single;  // there is no second one
};

template <class Unit>
void tile_products(const Tiles<Unit> &input, int64_t rows, const Panels &panels, int64_t tile, int64_t end,
                   vfloat (*sums)[TILE][2]) {
    typedef typename Of<Unit>::Vector Vector;
    const int64_t depth = panels.first->depth / Of<Unit>::PER_UNIT;
    const Vector *first = static_cast<const Vector *>(panels.first->weight) + panels.first_panel * depth;
    const Vector *second = static_cast<const Vector *>(panels.second->weight) + panels.second_panel * depth;
    for (int64_t i = 0; tile + i < end; i++) {
        const int count = std::min<int64_t>(TILE, rows - (tile + i) * TILE);
        if (panels.is_single) product<Unit, 1>(count, input.tile(tile + i), first, first, depth, sums[i]);
        else product<Unit, 2>(count, input.tile(tile + i), first, second, depth, sums[i]);
    }
}

// The same of quantized matrices: group by group, as integers first, and then times the columns' scales.
template <class Unit>
void quantized_tile_products(const Tiles<Unit> &input, int64_t rows, const Panels &panels, int64_t tile, int64_t end,
                             vfloat (*sums)[TILE][2]) {
    constexpr int STEP = GROUP / Of<Unit>::PER_UNIT;
    typename Of<Unit>::Vector first[STEP], second[STEP];
    const float *first_scales = scales_of(*panels.first, panels.first_panel);
    const float *second_scales = scales_of(*panels.second, panels.second_panel);
    for (int64_t i = 0; tile + i < end; i++)
        for (int r = 0; r < TILE; r++) sums[i][r][0] = sums[i][r][1] = vfloat{};
    for (int64_t group = 0; group < panels.first->depth / GROUP; group++) {
        unpack_group<Unit>(*panels.first, panels.first_panel, group, first);
        if (!panels.is_single) unpack_group<Unit>(*panels.second, panels.second_panel, group, second);
        const vfloat a = load(first_scales + group * LANES), b = load(second_scales + group * LANES);
        for (int64_t i = 0; tile + i < end; i++) {
            const int count = std::min<int64_t>(TILE, rows - (tile + i) * TILE);
            vfloat part[TILE][2];
            const Unit *units = input.tile(tile + i) + group * STEP * TILE;
            product<Unit, 2>(count, units, first, panels.is_single ? first : second, STEP, part);
            for (int r = 0; r < count; r++) {
                sums[i][r][0] += part[r][0] * a;
                sums[i][r][1] += part[r][1] * b;
            }
        }
    }
}

// Calls each(row, panel, sums of two panels, whether there is only one) for this thread's share of the panels. Without
// a `gate` the panels are two neighbours of `linear`; with one, the same panel of gate and linear.
template <class Unit, class Each>
void multiply(const Tiles<Unit> &input, Range rows, const Linear *gate, const Linear &linear, int part, int parts,
              Each each) {
    const int64_t count = linear.columns / LANES, tiles = (rows.end + TILE - 1) / TILE;
    const Range mine = share(gate ? count : (count + 1) / 2, part, parts);
    for (int64_t block = rows.begin / TILE; block < tiles; block += BLOCK_TILES) {
        const int64_t end = std::min(block + BLOCK_TILES, tiles);
        for (int64_t index = mine.begin; index < mine.end; index++) {
            const int64_t panel = gate ? index : 2 * index;
            const bool is_single = !gate && panel + 1 == count;
            const int64_t other = gate || is_single ? panel : panel + 1;
            const Panels panels{gate ? gate : &linear, &linear, panel, other, is_single};
            vfloat sums[BLOCK_TILES][TILE][2];
            if (linear.scales) quantized_tile_products(input, rows.end, panels, block, end, sums);
            else tile_products(input, rows.end, panels, block, end, sums);
            for (int64_t row = std::max(block * TILE, rows.begin); row < std::min(end * TILE, rows.end); row++)
                each(row, panel, sums[row / TILE - block][row % TILE], is_single);
        }
    }
}

inline vfloat biased(const Linear &linear, int64_t panel, vfloat sum) {
    return linear.bias ? sum + load(linear.bias + panel * LANES) : sum;
}

// What adapters add to a product's rows from `first_row` on: values [rows][stride].
struct Added {
    int64_t first_row;
    const float *values;
    int64_t stride;

    vfloat to(vfloat sum, int64_t row, int64_t panel) const {
        return row < first_row ? sum : sum + load(values + row * stride + panel * LANES);
    }
};

constexpr Added NOTHING{INT64_MAX, nullptr, 0};

// linear(input), and what adapters add to it, into `to` [rows][stride]: added to what is there or in its place.
template <class Unit>
void multiply_into(const Tiles<Unit> &input, Range rows, const Linear &linear, float *to, int64_t stride,
                   bool is_added, const Added &added, int part, int parts) {
    multiply(input, rows, nullptr, linear, part, parts, [&](int64_t row, int64_t panel, vfloat *sums, bool is_single) {
        for (int p = 0; p < (is_single ? 1 : 2); p++) {
            float *place = to + row * stride + (panel + p) * LANES;
            const vfloat value = added.to(biased(linear, panel + p, sums[p]), row, panel + p);
            store(place, is_added ? load(place) + value : value);
        }
    });
}

// ---- norms ----

// The sum of each(index) over `size` indices, sixteen at a time and then the rest: in one order, whatever the size.
template <class Many, class One> inline float total_of(int64_t size, Many many, One one) {
    vfloat sums = {};
    int64_t i = 0;
    for (; i + LANES <= size; i += LANES) sums += many(i);
    float total = sum_of(sums);
    for (; i < size; i++) total += one(i);
    return total;
}

// Calls many(index, sixteen values) and one(index, value) with the normalized values.
template <class Many, class One>
inline void normalize(const Normalizer &norm, const float *x, int64_t size, Many many, One one) {
    const float mean = norm.kind == LAYER_NORM ? total_of(size, [&](int64_t i) { return load(x + i); },
                                                          [&](int64_t i) { return x[i]; }) / size : 0.0f;
    const float squares = total_of(size,
        [&](int64_t i) { const vfloat d = load(x + i) - mean; return d * d; },
        [&](int64_t i) { return (x[i] - mean) * (x[i] - mean); });
    const float scale = 1.0f / std::sqrt(squares / size + norm.epsilon);
    int64_t i = 0;
    for (; i + LANES <= size; i += LANES) {
        const vfloat value = (load(x + i) - mean) * scale * load(norm.weight + i);
        many(i, norm.bias ? value + load(norm.bias + i) : value);
    }
    for (; i < size; i++) {
        const float value = (x[i] - mean) * scale * norm.weight[i];
        one(i, norm.bias ? value + norm.bias[i] : value);
    }
}

template <class Unit>
void normalize_into(const Normalizer &norm, const float *x, int64_t size, int64_t row, Tiles<Unit> to) {
    normalize(norm, x, size, [&](int64_t i, vfloat values) { to.set(row, i, values); },
              [&](int64_t i, float value) { to.set(row, i, value); });
}

inline void normalize_in_place(const Normalizer &norm, float *x, int64_t size) {
    if (norm.kind != NO_NORM)
        normalize(norm, x, size, [&](int64_t i, vfloat values) { store(x + i, values); },
                  [&](int64_t i, float value) { x[i] = value; });
}

// ---- the step ----

template <class Unit> struct Step {
    typedef typename Of<Unit>::Vector Vector;
    typedef typename Of<Unit>::Stored Stored;
    static constexpr int PER_UNIT = Of<Unit>::PER_UNIT;

    const Decoder &model;
    const int64_t *tokens;
    const Span *spans;
    int span_count;
    int64_t rows;
    const int32_t *span_of;  // [rows]
    float *hidden, *projected, *aside;  // [rows][hidden], [rows][q + k + v], [rows][hidden]
    Stored *queries;  // [rows][heads][padded head size]
    Tiles<Unit> input, second_input, attended, inner;
    const Group *groups;  // in the order of their rows, which are the last ones
    int group_count;
    Tiles<Unit> low;
    float *added, *second_added;  // [rows][columns of the widest product]
    std::atomic<int64_t> next_task[2];

    int position(int64_t row) const { return spans[span_of[row]].start + int(row) - spans[span_of[row]].row; }

    Stored *keys_of(const Layer &layer, int slot, int head) const {
        return static_cast<Stored *>(layer.keys) +
               (int64_t(slot) * model.kv_heads + head) * model.positions * model.padded_head_size;
    }

    Stored *values_of(const Layer &layer, int slot, int head) const {
        return static_cast<Stored *>(layer.values) +
               (int64_t(slot) * model.kv_heads + head) * model.positions * model.padded_head_size;
    }

    void embed(int64_t row) {
        float *x = hidden + row * model.hidden;
        const int64_t token = tokens[row];
        const Stored *table = static_cast<const Stored *>(model.embedding ? model.embedding : model.head.weight);
        const int64_t depth = model.head.depth / PER_UNIT;
        for (int64_t i = 0; i < model.hidden; i++) {
            const int64_t place = model.embedding
                ? token * model.hidden + i
                : (((token / LANES) * depth + i / PER_UNIT) * LANES + token % LANES) * PER_UNIT + i % PER_UNIT;
            x[i] = Of<Unit>::value(table[place]) * model.embedding_scale;
        }
        if (model.position_embedding) {
            const float *extra = static_cast<const float *>(model.position_embedding) +
                                 int64_t(position(row) + model.position_offset) * model.hidden;
            for (int64_t i = 0; i < model.hidden; i++) x[i] += extra[i];
        }
        normalize_in_place(model.embedding_norm, x, model.hidden);
    }

    void rotate(const Layer &layer, float *head, int position) const {
        if (!layer.rotation) return;
        const int half = model.rotated / 2;
        const float *table = layer.rotation + int64_t(position) * model.rotated;
        for (int i = 0; i < half; i++) {
            const float cosine = table[2 * i], sine = table[2 * i + 1];
            float &a = head[model.rotation_kind == HALVES ? i : 2 * i];
            float &b = head[model.rotation_kind == HALVES ? i + half : 2 * i + 1];
            const float turned = a * cosine - b * sine;
            b = b * cosine + a * sine;
            a = turned;
        }
    }

    // Queries are normed, turned and set aside; keys and values go into the caches.
    void place(const Layer &layer, int64_t row) {
        const Span &span = spans[span_of[row]];
        const int at = position(row), size = model.padded_head_size;
        float *head = projected + row * layer.qkv.columns;
        Stored *query = queries + row * model.heads * size;
        for (int h = 0; h < model.heads; h++, head += size, query += size) {
            normalize_in_place(layer.query_norm, head, model.head_size);
            rotate(layer, head, at);
            for (int i = 0; i < size; i += LANES)
                put_units(load(head + i), reinterpret_cast<Unit *>(query + i), 1);
        }
        for (int h = 0; h < model.kv_heads; h++, head += size) {
            normalize_in_place(layer.key_norm, head, model.head_size);
            rotate(layer, head, at);
            Stored *keys = keys_of(layer, span.slot, h) + int64_t(at / LANES) * LANES * size;
            for (int i = 0; i < size; i += LANES)
                put_units(load(head + i), reinterpret_cast<Unit *>(keys) + i / PER_UNIT * LANES + at % LANES, LANES);
        }
        const bool is_half_unit = row == span.row + span.count - 1 && at % PER_UNIT + 1 < PER_UNIT;
        for (int h = 0; h < model.kv_heads; h++, head += size) {
            Stored *values = values_of(layer, span.slot, h);
            for (int i = 0; i < size; i++) {
                const int64_t unit = int64_t(i / LANES) * (model.positions / PER_UNIT) + at / PER_UNIT;
                Stored *place = values + (unit * LANES + i % LANES) * PER_UNIT;
                place[at % PER_UNIT] = Of<Unit>::stored(head[i]);
                if (is_half_unit) place[PER_UNIT - 1] = 0;  // what stood there is multiplied by 0, and may be a NaN
            }
        }
    }

    // Rows of one kv head: (token, head of its group) pairs, at most TILE of them, that share keys and values.
    struct Attention {
        const Span *span;
        int kv_head, first, count;  // pairs [first, first + count) of the span's tokens x group
    };

    void attend(const Layer &layer, const Attention &task, Unit *tile, float *scores, Unit *weights) {
        const int group = model.heads / model.kv_heads, size = model.padded_head_size, depth = size / PER_UNIT;
        const int first_token = task.first / group, last_token = (task.first + task.count - 1) / group;
        const int last = task.span->start + last_token, window = layer.window;
        const int from = window ? std::max(0, task.span->start + first_token - window + 1) / LANES : 0;
        const int blocks = last / LANES + 1 - from;
        const int64_t stride = int64_t(blocks) * LANES;
        for (int r = 0; r < task.count; r++) {
            const int64_t row = task.span->row + (task.first + r) / group;
            const int head = task.kv_head * group + (task.first + r) % group;
            const Stored *query = queries + (row * model.heads + head) * size;
            const Unit *units = reinterpret_cast<const Unit *>(query);
            for (int k = 0; k < depth; k++) tile[k * TILE + r] = units[k];
        }
        const Vector *keys = reinterpret_cast<const Vector *>(keys_of(layer, task.span->slot, task.kv_head)) +
                             int64_t(from) * depth;
        vfloat sums[TILE][2];
        for (int b = 0; b < blocks; b += 2) {
            const Vector *first = keys + int64_t(b) * depth;
            const bool is_single = b + 1 == blocks;
            if (is_single) product<Unit, 1>(task.count, tile, first, first, depth, sums);
            else product<Unit, 2>(task.count, tile, first, first + depth, depth, sums);
            for (int r = 0; r < task.count; r++)
                for (int p = 0; p < (is_single ? 1 : 2); p++) store(scores + r * stride + (b + p) * LANES, sums[r][p]);
        }
        float inverse[TILE];
        for (int r = 0; r < task.count; r++) {
            const int at = task.span->start + (task.first + r) / group;
            const int head = task.kv_head * group + (task.first + r) % group;
            inverse[r] = 1.0f / weigh(scores + r * stride, blocks, from * LANES, at, window, head, weights + r);
        }
        const int64_t units = last / PER_UNIT + 1 - int64_t(from) * LANES / PER_UNIT;
        const Vector *values = reinterpret_cast<const Vector *>(values_of(layer, task.span->slot, task.kv_head)) +
                               int64_t(from) * LANES / PER_UNIT;
        const int64_t next = model.positions / PER_UNIT;
        for (int d = 0; d < size / LANES; d += 2) {
            const bool is_single = d + 1 == size / LANES;
            if (is_single) product<Unit, 1>(task.count, weights, values + d * next, values, units, sums);
            else product<Unit, 2>(task.count, weights, values + d * next, values + (d + 1) * next, units, sums);
            for (int r = 0; r < task.count; r++) {
                const int64_t row = task.span->row + (task.first + r) / group;
                const int head = task.kv_head * group + (task.first + r) % group;
                for (int p = 0; p < (is_single ? 1 : 2); p++)
                    attended.set(row, int64_t(head) * size + (d + p) * LANES, sums[r][p] * inverse[r]);
            }
        }
    }

    // Scores into probabilities that are not yet divided by their sum, which is returned. `weights` has stride TILE.
    float weigh(float *scores, int blocks, int first, int at, int window, int head, Unit *weights) const {
        static const vint INDEX = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
        const float cap = model.attention_cap, slope = model.alibi ? model.alibi[head] : 0.0f;
        const int oldest = window ? at - window + 1 : 0;
        vfloat peaks = splat(-INFINITY);
        for (int b = 0; b < blocks; b++) {
            const vint places = INDEX + (first + b * LANES);
            vfloat s = load(scores + b * LANES) * model.attention_scale;
            if (cap > 0) {
                for (int i = 0; i < LANES; i++) s[i] = cap * std::tanh(s[i] / cap);
            }
            if (slope != 0) s += slope * __builtin_convertvector(places, vfloat);
            const vint is_seen = (places <= at) & (places >= oldest);
            s = is_seen ? s : splat(-INFINITY);
            store(scores + b * LANES, s);
            peaks = larger(peaks, s);
        }
        float peak = peaks[0];
        for (int i = 1; i < LANES; i++) peak = std::max(peak, peaks[i]);
        vfloat total = {};
        for (int b = 0; b < blocks; b++) {
            const vfloat p = exp_of(load(scores + b * LANES) - peak);
            total += p;
            put_units(p, weights + int64_t(b) * LANES / PER_UNIT * TILE, TILE);
        }
        return sum_of(total);
    }

    // All the attention of a layer, handed out piece by piece.
    void attend_all(const Layer &layer, std::atomic<int64_t> &next, Unit *tile, float *scores, Unit *weights) {
        const int group = model.heads / model.kv_heads;
        const int step = group < TILE ? TILE / group * group : TILE;
        int64_t wanted = next.fetch_add(1), index = 0;
        // From the last span and its last rows backwards: the longest pieces first.
        for (int s = span_count - 1; s >= 0; s--) {
            const int pairs = spans[s].count * group, pieces = (pairs + step - 1) / step;
            const int64_t tasks = int64_t(pieces) * model.kv_heads;
            while (wanted < index + tasks) {
                const int piece = pieces - 1 - int((wanted - index) / model.kv_heads);
                const int head = int((wanted - index) % model.kv_heads);
                const Attention task{&spans[s], head, piece * step, std::min(step, pairs - piece * step)};
                attend(layer, task, tile, scores, weights);
                wanted = next.fetch_add(1);
            }
            index += tasks;
        }
    }

    // What the adapters add to linear(from) in layer `index`, in `to`. Threads meet before and after.
    Added adapt(LowRank LayerAdapter::*which, int index, const Tiles<Unit> &from, const Linear &linear, float *to,
                int part, int parts) {
        if (!group_count) return NOTHING;
        for (int g = 0; g < group_count; g++) {
            const LowRank &pair = groups[g].layer[index].*which;
            if (!pair.down.weight) continue;
            multiply(from, rows_of(groups[g]), nullptr, pair.down, part, parts,
                     [&](int64_t row, int64_t panel, vfloat *sums, bool is_single) {
                         for (int p = 0; p < (is_single ? 1 : 2); p++) low.set(row, (panel + p) * LANES, sums[p]);
                     });
        }
#pragma omp barrier
        for (int g = 0; g < group_count; g++) {
            const LowRank &pair = groups[g].layer[index].*which;
            const Range of_group = rows_of(groups[g]), mine = share(groups[g].count, part, parts);
            if (pair.down.weight)
                multiply_into(low, of_group, pair.up, to, linear.columns, false, NOTHING, part, parts);
            else
                std::fill(to + (of_group.begin + mine.begin) * linear.columns,
                          to + (of_group.begin + mine.end) * linear.columns, 0.0f);
        }
#pragma omp barrier
        return {groups[0].row, to, linear.columns};
    }

    static Range rows_of(const Group &group) { return {group.row, group.row + group.count}; }

    // The feed-forward part of a layer up to its inner activations.
    void widen(const Layer &layer, int index, const Tiles<Unit> &from, int part, int parts) {
        const bool is_gated = layer.gate.weight != nullptr;
        const Added to_up = adapt(&LayerAdapter::up, index, from, layer.up, added, part, parts);
        const Added to_gate = is_gated
            ? adapt(&LayerAdapter::gate, index, from, layer.gate, second_added, part, parts) : NOTHING;
        multiply(from, Range{0, rows}, is_gated ? &layer.gate : nullptr, layer.up, part, parts,
                 [&](int64_t row, int64_t panel, vfloat *sums, bool is_single) {
                     if (is_gated) {
                         const vfloat gate = to_gate.to(biased(layer.gate, panel, sums[0]), row, panel);
                         const vfloat value = activated(gate, model.activation) *
                                              to_up.to(biased(layer.up, panel, sums[1]), row, panel);
                         inner.set(row, panel * LANES, value);
                         return;
                     }
                     for (int p = 0; p < (is_single ? 1 : 2); p++) {
                         const vfloat up = to_up.to(biased(layer.up, panel + p, sums[p]), row, panel + p);
                         const vfloat value = activated(up, model.activation);
                         inner.set(row, (panel + p) * LANES, value);
                     }
                 });
    }

    // linear(from) is added to the residual stream, through a norm where the model has one there.
    void add(const Linear &linear, const Tiles<Unit> &from, const Normalizer &post, const Added &of_adapters, int part,
             int parts, Range mine) {
        const bool is_direct = post.kind == NO_NORM && linear.columns == model.hidden;
        const int64_t stride = is_direct ? model.hidden : linear.columns;
        multiply_into(from, Range{0, rows}, linear, is_direct ? hidden : aside, stride, is_direct, of_adapters, part,
                      parts);
#pragma omp barrier
        if (is_direct) return;
        for (int64_t row = mine.begin; row < mine.end; row++) {
            float *value = aside + row * linear.columns, *x = hidden + row * model.hidden;
            normalize_in_place(post, value, model.hidden);
            for (int64_t i = 0; i < model.hidden; i++) x[i] += value[i];
        }
#pragma omp barrier
    }

    void run_layer(const Layer &layer, int index, int part, int parts, Unit *tile, float *scores, Unit *weights) {
        const Range mine = share(rows, part, parts);
        for (int64_t row = mine.begin; row < mine.end; row++) {
            normalize_into(layer.attention_norm, hidden + row * model.hidden, model.hidden, row, input);
            if (model.is_parallel)
                normalize_into(layer.mlp_norm, hidden + row * model.hidden, model.hidden, row, second_input);
        }
#pragma omp barrier
        const Added to_qkv = adapt(&LayerAdapter::qkv, index, input, layer.qkv, added, part, parts);
        multiply_into(input, Range{0, rows}, layer.qkv, projected, layer.qkv.columns, false, to_qkv, part, parts);
#pragma omp barrier
        for (int64_t row = mine.begin; row < mine.end; row++) place(layer, row);
        if (part == 0) next_task[(index + 1) % 2] = 0;
#pragma omp barrier
        attend_all(layer, next_task[index % 2], tile, scores, weights);
#pragma omp barrier
        const Added to_out = adapt(&LayerAdapter::out, index, attended, layer.out, added, part, parts);
        add(layer.out, attended, layer.post_attention_norm, to_out, part, parts, mine);
        if (!model.is_parallel)
            for (int64_t row = mine.begin; row < mine.end; row++)
                normalize_into(layer.mlp_norm, hidden + row * model.hidden, model.hidden, row, input);
#pragma omp barrier
        widen(layer, index, model.is_parallel ? second_input : input, part, parts);
#pragma omp barrier
        const Added to_down = adapt(&LayerAdapter::down, index, inner, layer.down, added, part, parts);
        add(layer.down, inner, layer.post_mlp_norm, to_down, part, parts, mine);
    }

    void run(const int64_t *wanted, int64_t wanted_count, float *logits, int64_t longest) {
        next_task[0] = next_task[1] = 0;
#pragma omp parallel num_threads(model.threads)
        {
            const int part = omp_get_thread_num(), parts = omp_get_num_threads();
            const int64_t padded = (longest + 2 * LANES) / LANES * LANES;
            Unit *tile = new (std::align_val_t(64)) Unit[model.padded_head_size * TILE]();
            float *scores = new (std::align_val_t(64)) float[padded * TILE];
            Unit *weights = new (std::align_val_t(64)) Unit[padded * TILE]();
            const Range mine = share(rows, part, parts);
            for (int64_t row = mine.begin; row < mine.end; row++) embed(row);
#pragma omp barrier
            for (int i = 0; i < model.layers; i++)
                run_layer(model.layer[i], i, part, parts, tile, scores, weights);
            const Range results = share(wanted_count, part, parts);
            for (int64_t i = results.begin; i < results.end; i++)
                normalize_into(model.final_norm, hidden + wanted[i] * model.hidden, model.hidden, i, input);
#pragma omp barrier
            multiply_into(input, Range{0, wanted_count}, model.head, logits, model.head.columns, false, NOTHING, part,
                          parts);
            if (model.logit_cap > 0) {
#pragma omp barrier
                for (int64_t i = results.begin; i < results.end; i++)
                    for (int64_t v = 0; v < model.head.columns; v++) {
                        float &x = logits[i * model.head.columns + v];
                        x = model.logit_cap * std::tanh(x / model.logit_cap);
                    }
            }
            ::operator delete[](tile, std::align_val_t(64));
            ::operator delete[](scores, std::align_val_t(64));
            ::operator delete[](weights, std::align_val_t(64));
        }
    }
};

struct Scratch {  // freed on every way out
    void *memory = nullptr;
    template <class T> T *get(int64_t count) {
        const size_t bytes = (std::max<int64_t>(count, 1) * sizeof(T) + 63) / 64 * 64;
        memory = aligned_alloc(64, bytes);
        if (memory) memset(memory, 0, bytes);
        return static_cast<T *>(memory);
    }
    ~Scratch() { free(memory); }
};

// The columns of the widest product that adapters work on, and the largest rank of theirs; 0 without adapters.
struct Widths {
    int64_t columns = 0, rank = 0;

    Widths(const Decoder &model, const Group *groups, int group_count) {
        if (!group_count) return;
        const Layer &layer = model.layer[0];
        for (const Linear *linear : {&layer.qkv, &layer.out, &layer.gate, &layer.up, &layer.down})
            columns = std::max(columns, linear->columns);
        for (int g = 0; g < group_count; g++)
            for (int i = 0; i < model.layers; i++) {
                const LayerAdapter &own = groups[g].layer[i];
                for (const LowRank *pair : {&own.qkv, &own.out, &own.gate, &own.up, &own.down})
                    rank = std::max(rank, pair->down.columns);
            }
    }
};

template <class Unit>
int run_step(const Decoder &model, const int64_t *tokens, int64_t rows, const Span *spans, int span_count,
             const Group *groups, int group_count, const int64_t *wanted, int64_t wanted_count, float *logits) {
    typedef typename Of<Unit>::Stored Stored;
    const Layer &layer = model.layer[0];
    const int64_t padded = (std::max(rows, wanted_count) + TILE - 1) / TILE * TILE, unit = Of<Unit>::PER_UNIT;
    const Widths widths(model, groups, group_count);
    Scratch memory[12];
    const auto tiles = [&](Scratch &scratch, int64_t depth) {
        return Tiles<Unit>{scratch.get<Unit>(padded * (depth / unit)), depth / unit};
    };
    int32_t *span_of = memory[0].get<int32_t>(rows);
    if (!span_of) return 1;
    int64_t longest = 0;
    for (int s = 0; s < span_count; s++) {
        longest = std::max<int64_t>(longest, spans[s].start + spans[s].count);
        for (int i = 0; i < spans[s].count; i++) span_of[spans[s].row + i] = s;
    }
    Step<Unit> step{model, tokens, spans, span_count, rows, span_of,
                    memory[1].get<float>(rows * model.hidden), memory[2].get<float>(rows * layer.qkv.columns),
                    memory[3].get<float>(rows * layer.out.columns),
                    memory[4].get<Stored>(rows * model.heads * model.padded_head_size),
                    tiles(memory[5], layer.qkv.depth), tiles(memory[6], layer.up.depth),
                    tiles(memory[7], layer.out.depth), tiles(memory[8], layer.down.depth), groups, group_count,
                    tiles(memory[9], widths.rank), memory[10].get<float>(rows * widths.columns),
                    memory[11].get<float>(rows * widths.columns), {}};
    for (const Scratch &scratch : memory)
        if (!scratch.memory) return 1;
    step.run(wanted, wanted_count, logits, longest);
    return 0;
}

}  // namespace

// Returns 0, or 1 where there is not enough memory. `tokens` [rows]; `wanted` [wanted_count] holds the rows whose
// logits go to `logits` [wanted_count][head.columns]. The rows of `groups` are the last ones, group after group.
extern "C" int sandle_step(const Decoder *model, const int64_t *tokens, int64_t rows, const Span *spans, int span_count,
                           const Group *groups, int group_count, const int64_t *wanted, int64_t wanted_count,
                           float *logits) {
    return model->is_float32
        ? run_step<float>(*model, tokens, rows, spans, span_count, groups, group_count, wanted, wanted_count, logits)
        : run_step<uint32_t>(*model, tokens, rows, spans, span_count, groups, group_count, wanted, wanted_count,
                             logits);
}
