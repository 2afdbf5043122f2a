package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How long a call may take.
const deadline = 3 * time.Second

// A caller of one target: who answered?
type caller func(context.Context) (string, error)

// One line for each call, of whatever language.
type line struct {
	Target  string `json:"target"`
	At      int64  `json:"at"`
	Took    int64  `json:"took"`
	Backend string `json:"backend,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Calls every target for ever, one call after another for each.
func run(interval string, targets []string, open func(string) (caller, error)) error {
	pause, err := strconv.Atoi(interval)
	if err != nil {
		return fmt.Errorf("the interval %q is no number of milliseconds", interval)
	}
	var output sync.Mutex
	var all sync.WaitGroup
	for _, given := range targets {
		name, target, found := strings.Cut(given, "=")
		if !found {
			return fmt.Errorf("%q is not NAME=TARGET", given)
		}
		call, err := open(target)
		if err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
		all.Go(func() {
			for {
				said := once(name, call)
				output.Lock()
				_ = json.NewEncoder(os.Stdout).Encode(said)
				output.Unlock()
				time.Sleep(time.Duration(pause) * time.Millisecond)
			}
		})
	}
	all.Wait()
	return nil
}

func once(name string, call caller) line {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	begun := time.Now()
	backend, err := call(ctx)
	said := line{Target: name, At: begun.UnixMilli(), Took: time.Since(begun).Milliseconds(), Backend: backend}
	if err != nil {
		said.Error = err.Error()
	}
	return said
}
