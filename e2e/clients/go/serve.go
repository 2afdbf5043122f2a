package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	// How long an answer takes, so that some are under way at any moment.
	work = 5 * time.Millisecond
	// How long those that are under way have when the server is asked to end.
	drain = 10 * time.Second
)

// Answers with its name: to gRPC without TLS, and to plain HTTP. On SIGTERM it takes no more, tells its clients so
// (GOAWAY), ends what is under way, and goes.
func serve(name, address string) error {
	answer, err := proto.Marshal(wrapperspb.String(name))
	if err != nil {
		return err
	}
	frame := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(answer))), answer...)
	handler := func(writer http.ResponseWriter, request *http.Request) {
		_, _ = io.Copy(io.Discard, request.Body)
		time.Sleep(work)
		if !strings.HasPrefix(request.Header.Get("Content-Type"), "application/grpc") {
			_, _ = writer.Write([]byte(name))
			return
		}
		writer.Header().Set("Content-Type", "application/grpc")
		_, _ = writer.Write(frame)
		writer.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	}
	server := &http.Server{Addr: address, Handler: http.HandlerFunc(handler), Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	asked, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		<-asked.Done()
		bounded, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		ended <- server.Shutdown(bounded)
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-ended
}
