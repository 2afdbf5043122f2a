package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// serve answers "NAME ADDRESS" to everything but:
//
//	/healthz        200; 503 while broken or draining
//	/break, /mend   begins and ends being broken: then everything is answered with 500
//	/slow?for=2s    answers after that time
func serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	listen := flags.String("listen", ":8080", "where it listens")
	name := flags.String("name", ownName(), "what it answers; $POD_NAME, else the host name")
	drain := flags.Duration("drain", 2*time.Second, "how long it goes on serving, not ready, after SIGTERM")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var broken, draining atomic.Bool
	server := &http.Server{Handler: handler(*name, &broken, &draining), ReadHeaderTimeout: 5 * time.Second}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	ended := make(chan error, 1)
	go func() {
		<-stop
		draining.Store(true)
		server.SetKeepAlivesEnabled(false)
		time.Sleep(*drain)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		ended <- server.Shutdown(ctx)
	}()
	fmt.Printf("%s serves at %s\n", *name, listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-ended
}

func handler(name string, broken, draining *atomic.Bool) http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, r *http.Request) {
		if broken.Load() {
			http.Error(w, name+" is broken", http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "%s %s\n", name, r.Context().Value(http.LocalAddrContextKey))
	}
	mux.HandleFunc("/", answer)
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() || draining.Load() {
			http.Error(w, "broken or draining", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/break", func(http.ResponseWriter, *http.Request) { broken.Store(true) })
	mux.HandleFunc("/mend", func(http.ResponseWriter, *http.Request) { broken.Store(false) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		wait, err := time.ParseDuration(r.URL.Query().Get("for"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		time.Sleep(min(wait, time.Minute))
		answer(w, r)
	})
	return mux
}

func ownName() string {
	if name := os.Getenv("POD_NAME"); name != "" {
		return name
	}
	name, _ := os.Hostname()
	return name
}
