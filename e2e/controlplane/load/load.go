// Package load fills a cluster with generated Services, registrations and pods, fast: thousands of objects through
// kubectl take many minutes, mostly for kubectl.
package load

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const attempts = 20

// Run creates what the arguments ask for. Objects that exist are left as they are, so that it can be repeated.
func Run(args []string) error {
	var plan plan
	var workers int
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.IntVar(&plan.services, "services", 100, "Services, each with a registration")
	flags.IntVar(&plan.endpoints, "endpoints", 1000, "endpoints of all services together, pods included")
	flags.IntVar(&plan.pods, "pods", 0, "how many of the endpoints are pods")
	flags.IntVar(&workers, "workers", 16, "requests at a time")
	flags.Var(&plan.nodes, "node", "node for pods, can be repeated")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := plan.check(); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	config.QPS = -1 // the client's own limit: the server has a better one
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	// In this order: a namespace before what is in it, and Services before the pods that they select.
	for _, step := range plan.steps(client) {
		if err := run(step, workers); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// step is a number of like objects.
type step struct {
	what   string
	count  int
	create func(ctx context.Context, index int) error
}

func run(step step, workers int) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var next atomic.Int64
	var group sync.WaitGroup
	failures := make(chan error, workers)
	start := time.Now()
	for range workers {
		group.Go(func() {
			for ctx.Err() == nil {
				index := int(next.Add(1)) - 1
				if index >= step.count {
					return
				}
				if err := persist(ctx, func() error { return step.create(ctx, index) }); err != nil {
					failures <- err
					cancel()
					return
				}
			}
		})
	}
	group.Wait()
	close(failures)
	var failed []error
	for err := range failures {
		if !errors.Is(err, context.Canceled) {
			failed = append(failed, err)
		}
	}
	if len(failed) > 0 {
		return failed[0]
	}
	fmt.Printf("%s: %d in %.1f s\n", step.what, step.count, time.Since(start).Seconds())
	return nil
}

// persist repeats what may pass: an overloaded server, or a ServiceAccount that its controller has not made yet.
func persist(ctx context.Context, create func() error) error {
	var err error
	for attempt := range attempts {
		err = create()
		if err == nil || apierrors.IsAlreadyExists(err) {
			return nil
		}
		if apierrors.IsInvalid(err) || apierrors.IsNotFound(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(attempt+1) * 50 * time.Millisecond):
		}
	}
	return err
}

// post sends an object for whose type there is no client.
func post(ctx context.Context, client rest.Interface, path string, body []byte) error {
	return client.Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Error()
}
