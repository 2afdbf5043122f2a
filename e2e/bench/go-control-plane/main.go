// The server that Rollcall's is measured beside: go-control-plane with one of its caches, steered on standard input as
// ../xds/src/serve.rs is.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	clusters "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
)

// A cache, told of one resource after the other.
type store interface {
	fill(clusters []types.Resource) error
	change(index int, changed types.Resource) error
	cache() cache.Cache
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "go-control-plane:", err)
		os.Exit(1)
	}
}

func run(kind string) error {
	kept, err := open(kind)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	serving := grpc.NewServer()
	service := server.NewServer(context.Background(), kept.cache(), nil)
	clusters.RegisterClusterDiscoveryServiceServer(serving, service)
	go func() { _ = serving.Serve(listener) }()
	fmt.Println(listener.Addr())
	orders := bufio.NewScanner(os.Stdin)
	count := 0
	for orders.Scan() {
		words := strings.Fields(orders.Text())
		number := func(at int) int { value, _ := strconv.Atoi(words[at]); return value }
		done := 0
		switch words[0] {
		case "fill":
			count = number(1)
			all := make([]types.Resource, count)
			for index := range all {
				all[index] = named(index, "")
			}
			err = kept.fill(all)
		case "change":
			err = kept.change(number(1), named(number(1), mark()))
		case "churn":
			done, err = churn(kept, count, number(1), time.Duration(number(2))*time.Second)
		}
		if err != nil {
			return err
		}
		fmt.Println("ok", done)
	}
	return orders.Err()
}

// So many changes a second, or as many as it can.
func churn(kept store, count, rate int, lasts time.Duration) (int, error) {
	begun := time.Now()
	done := 0
	for ; time.Since(begun) < lasts; done++ {
		due := begun.Add(time.Duration(done) * time.Second / time.Duration(rate))
		time.Sleep(time.Until(due))
		index := done % count
		if err := kept.change(index, named(index, mark())); err != nil {
			return done, err
		}
	}
	return done, nil
}

func mark() string { return fmt.Sprintf("at=%d", time.Now().UnixNano()) }

func named(index int, mark string) types.Resource {
	return &cluster.Cluster{
		Name:                 fmt.Sprintf("service-%d.bench:http", index),
		ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_EDS},
		ConnectTimeout:       durationpb.New(2 * time.Second),
		AltStatName:          mark,
	}
}

func open(kind string) (store, error) {
	switch kind {
	case "linear":
		return &linear{cache.NewLinearCache(resource.ClusterType)}, nil
	case "snapshot":
		return &snapshots{kept: cache.NewSnapshotCache(false, everybody{}, nil)}, nil
	default:
		return nil, fmt.Errorf("no cache is called %q: give linear or snapshot", kind)
	}
}

type linear struct{ kept *cache.LinearCache }

func (its *linear) cache() cache.Cache { return its.kept }

func (its *linear) fill(clusters []types.Resource) error {
	all := make(map[string]types.Resource, len(clusters))
	for _, each := range clusters {
		all[cache.GetResourceName(each)] = each
	}
	its.kept.SetResources(all)
	return nil
}

func (its *linear) change(_ int, changed types.Resource) error {
	return its.kept.UpdateResource(cache.GetResourceName(changed), changed)
}

type snapshots struct {
	kept     cache.SnapshotCache
	clusters []types.Resource
	version  int
}

// One snapshot for all nodes.
type everybody struct{}

func (everybody) ID(*core.Node) string { return "all" }

func (its *snapshots) cache() cache.Cache { return its.kept }

func (its *snapshots) fill(clusters []types.Resource) error {
	its.clusters = clusters
	return its.publish()
}

func (its *snapshots) change(index int, changed types.Resource) error {
	its.clusters[index] = changed
	return its.publish()
}

func (its *snapshots) publish() error {
	its.version++
	resources := map[resource.Type][]types.Resource{resource.ClusterType: its.clusters}
	snapshot, err := cache.NewSnapshot(strconv.Itoa(its.version), resources)
	if err != nil {
		return err
	}
	return its.kept.SetSnapshot(context.Background(), "all", snapshot)
}
