package stockfreeze.bench;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * The kernel job of tests/bench/peers/kernel.py on Kafka Streams: BOOTSTRAP PREFIX GROUP STATE_DIR rocksdb|memory.
 *
 * <p>One processor reads both topics, as they are co-partitioned, and keeps orders and frozen units in two stores with
 * changelogs. Both stores are cached, so that a key is written to its store and changelog once per commit.
 */
public final class KernelJob {
    private static final String ORDERS = "orders";
    private static final String FROZEN = "frozen";
    private static final int STREAM_THREADS = 2;
    private static final ObjectMapper JSON = new ObjectMapper();

    private KernelJob() {}

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Line(String sku, @JsonProperty("warehouse_id") String warehouseId, int quantity) {}

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Event(
            String type,
            @JsonProperty("event_id") String eventId,
            @JsonProperty("account_id") String accountId,
            @JsonProperty("order_id") String orderId,
            @JsonProperty("sub_order_id") String subOrderId,
            @JsonProperty("warehouse_id") String warehouseId,
            @JsonProperty("occurred_at") String occurredAt,
            List<Line> lines) {}

    /** What is known of a sub-order; lines are null until it is created. */
    @JsonInclude(JsonInclude.Include.NON_NULL)
    record SubOrder(@JsonProperty("warehouse_id") String warehouseId, List<Line> lines, boolean shipped) {}

    /** What is known of an order; lines are null until it is created. */
    @JsonInclude(JsonInclude.Include.NON_NULL)
    record Order(List<Line> lines, @JsonProperty("sub_orders") Map<String, SubOrder> subOrders) {}

    record Movement(
            String type,
            String movement,
            String cause,
            @JsonProperty("account_id") String accountId,
            @JsonProperty("order_id") String orderId,
            @JsonProperty("occurred_at") String occurredAt,
            @JsonProperty("warehouse_id") String warehouseId,
            String sku,
            int quantity,
            @JsonProperty("frozen_delta") int frozenDelta,
            long frozen) {}

    record Level(
            String type,
            @JsonProperty("account_id") String accountId,
            @JsonProperty("warehouse_id") String warehouseId,
            String sku,
            long frozen) {}

    static <T> Deserializer<T> reading(Class<T> type) {
        ObjectReader reader = JSON.readerFor(type);
        return (topic, data) -> {
            try {
                return data == null ? null : reader.readValue(data);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        };
    }

    static <T> Serializer<T> writing(Class<T> type) {
        ObjectWriter writer = JSON.writerFor(type);
        return (topic, value) -> {
            try {
                return value == null ? null : writer.writeValueAsBytes(value);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        };
    }

    /** Freezes the lines of an order, and releases those of a sub-order that has both its lines and its shipment. */
    static final class Kernel implements Processor<String, Event, String, Object> {
        private ProcessorContext<String, Object> context;
        private KeyValueStore<String, Order> orders;
        private KeyValueStore<String, Long> frozen;

        @Override
        public void init(ProcessorContext<String, Object> given) {
            context = given;
            orders = given.getStateStore(ORDERS);
            frozen = given.getStateStore(FROZEN);
        }

        @Override
        public void process(Record<String, Event> record) {
            Event event = record.value();
            String orderKey = event.accountId() + "/" + event.orderId();
            Order known = orders.get(orderKey);
            Order order = known == null ? new Order(null, new LinkedHashMap<>()) : known;
            if (event.type().equals("order.created")) {
                for (Line line : event.lines()) {
                    String warehouseId = line.warehouseId() == null ? "default" : line.warehouseId();
                    post(record, warehouseId, line.sku(), line.quantity());
                }
                order = new Order(event.lines(), order.subOrders());
            } else {
                SubOrder old = order.subOrders().getOrDefault(event.subOrderId(), new SubOrder(null, null, false));
                SubOrder now = event.type().equals("sub_order.created")
                        ? new SubOrder(event.warehouseId(), event.lines(), old.shipped())
                        : new SubOrder(old.warehouseId(), old.lines(), true);
                order.subOrders().put(event.subOrderId(), now);
                if (now.shipped() && now.lines() != null) {
                    for (Line line : now.lines()) {
                        post(record, now.warehouseId(), line.sku(), -line.quantity());
                    }
                }
            }
            orders.put(orderKey, order);
        }

        private void post(Record<String, Event> record, String warehouseId, String sku, int delta) {
            Event event = record.value();
            String key = event.accountId() + "/" + warehouseId + "/" + sku;
            Long before = frozen.get(key);
            long after = (before == null ? 0 : before) + delta;
            frozen.put(key, after);
            Movement movement = new Movement(
                    "stock.moved",
                    delta > 0 ? "freeze" : "release",
                    event.eventId(),
                    event.accountId(),
                    event.orderId(),
                    event.occurredAt(),
                    warehouseId,
                    sku,
                    Math.abs(delta),
                    delta,
                    after);
            context.forward(record.withValue((Object) movement), "movements");
            Level level = new Level("stock.level_changed", event.accountId(), warehouseId, sku, after);
            context.forward(record.withKey(key).withValue((Object) level), "levels");
        }
    }

    private static KeyValueBytesStoreSupplier supplier(String name, boolean inMemory) {
        return inMemory ? Stores.inMemoryKeyValueStore(name) : Stores.persistentKeyValueStore(name);
    }

    private static <T> StoreBuilder<KeyValueStore<String, T>> store(String name, boolean inMemory, Serde<T> values) {
        return Stores.keyValueStoreBuilder(supplier(name, inMemory), Serdes.String(), values)
                .withCachingEnabled()
                .withLoggingEnabled(Map.of());
    }

    static Topology topology(String prefix, boolean inMemory) {
        Serde<Order> orders = Serdes.serdeFrom(writing(Order.class), reading(Order.class));
        Serializer<String> keys = Serdes.String().serializer();
        Serializer<Movement> movements = writing(Movement.class);
        Serializer<Level> levels = writing(Level.class);
        String[] inputs = {prefix + "orders.events.v1", prefix + "sub-orders.events.v1"};
        return new Topology()
                .addSource("events", Serdes.String().deserializer(), reading(Event.class), inputs)
                .addProcessor("kernel", Kernel::new, "events")
                .addStateStore(store(ORDERS, inMemory, orders), "kernel")
                .addStateStore(store(FROZEN, inMemory, Serdes.Long()), "kernel")
                .addSink("movements", prefix + "stock.movements.v1", keys, movements, "kernel")
                .addSink("levels", prefix + "stock.levels.v1", keys, levels, "kernel");
    }

    static Properties settings(String bootstrapServers, String group, String stateDir) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrapServers);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, group);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, stateDir);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, STREAM_THREADS);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L << 20);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 4000);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 64L << 20);
        return settings;
    }

    public static void main(String[] arguments) throws InterruptedException {
        Topology topology = topology(arguments[1], arguments[4].equals("memory"));
        KafkaStreams streams = new KafkaStreams(topology, settings(arguments[0], arguments[2], arguments[3]));
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(5))));
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.ERROR) {
                ended.countDown();
            }
        });
        streams.start();
        ended.await();
        Runtime.getRuntime().halt(1);
    }
}
