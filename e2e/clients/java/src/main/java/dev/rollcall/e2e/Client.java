package dev.rollcall.e2e;

import io.grpc.CallOptions;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;

/** Calls xds targets by grpc-java. The README two folders up has the contract that all callers share. */
public final class Client {
  private static final String METHOD = "rollcall.e2e.Who/Answers";
  private static final long DEADLINE_S = 3;

  /** A google.protobuf.StringValue shorter than 128 bytes: a tag, a length, the text. */
  private static final int HEAD = 2;

  private static final MethodDescriptor.Marshaller<byte[]> BYTES =
      new MethodDescriptor.Marshaller<>() {
        @Override
        public InputStream stream(byte[] value) {
          return new ByteArrayInputStream(value);
        }

        @Override
        public byte[] parse(InputStream stream) {
          try {
            return stream.readAllBytes();
          } catch (IOException error) {
            throw new UncheckedIOException(error);
          }
        }
      };

  private static final MethodDescriptor<byte[], byte[]> ANSWERS =
      MethodDescriptor.newBuilder(BYTES, BYTES)
          .setType(MethodDescriptor.MethodType.UNARY)
          .setFullMethodName(METHOD)
          .build();

  private Client() {}

  public static void main(String[] arguments) throws InterruptedException {
    long pauseMs = Long.parseLong(arguments[0]);
    Thread last = null;
    for (int index = 1; index < arguments.length; index++) {
      String[] given = arguments[index].split("=", 2);
      last = new Thread(() -> callForEver(given[0], given[1], pauseMs), given[0]);
      last.start();
    }
    if (last != null) {
      last.join();
    }
  }

  private static void callForEver(String name, String target, long pauseMs) {
    ManagedChannel channel = Grpc.newChannelBuilder(target, InsecureChannelCredentials.create()).build();
    while (true) {
      long at = System.currentTimeMillis();
      String outcome;
      try {
        CallOptions options = CallOptions.DEFAULT.withDeadlineAfter(DEADLINE_S, TimeUnit.SECONDS);
        byte[] answer = ClientCalls.blockingUnaryCall(channel, ANSWERS, options, new byte[0]);
        String backend = new String(answer, HEAD, answer.length - HEAD, StandardCharsets.UTF_8);
        outcome = "\"backend\":" + quoted(backend);
      } catch (StatusRuntimeException error) {
        String said = error.getStatus().getCode() + ": " + error.getStatus().getDescription();
        outcome = "\"error\":" + quoted(said);
      }
      long took = System.currentTimeMillis() - at;
      String line = "{\"target\":%s,\"at\":%d,\"took\":%d,%s}%n".formatted(quoted(name), at, took, outcome);
      System.out.print(line);
      System.out.flush();
      try {
        Thread.sleep(pauseMs);
      } catch (InterruptedException error) {
        return;
      }
    }
  }

  private static String quoted(String text) {
    StringBuilder quoted = new StringBuilder("\"");
    for (char each : text.toCharArray()) {
      if (each == '"' || each == '\\') {
        quoted.append('\\').append(each);
      } else if (each < ' ') {
        quoted.append(String.format("\\u%04x", (int) each));
      } else {
        quoted.append(each);
      }
    }
    return quoted.append('"').toString();
  }
}
