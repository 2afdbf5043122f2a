{{/* What the schema cannot refuse: values that do not fit each other. Each refusal names the remedy. */}}

{{- define "rollcall.check" -}}
{{- include "rollcall.check.name" . }}
{{- include "rollcall.check.certificates" . }}
{{- include "rollcall.check.federation" . }}
{{- include "rollcall.check.stopping" (list "controller" .Values.controller) }}
{{- include "rollcall.check.addresses" (list "controller" .Values.controller.service) }}
{{- $service := .Values.controller.service }}
{{- if and (eq $service.type "ClusterIP") (eq (int $service.grpcPort) (int $service.httpPort)) }}
{{- fail (printf "controller.service.grpcPort and httpPort are both %d: give one of them another port, such as 18000 and 18080" (int $service.grpcPort)) }}
{{- end }}
{{- if and (gt (len $service.clusterIPs) 1) (ne (first .Values.listenAddresses) "[::]") }}
{{- fail "controller.service.clusterIPs has two addresses, and the controller listens on IPv4 alone: begin listenAddresses with \"[::]\", on which it takes IPv4 as well" }}
{{- end }}
{{- if eq (.Values.controller.strategy | default dict).type "OnDelete" }}
{{- fail "controller.strategy.type OnDelete is for DaemonSets: use RollingUpdate or Recreate" }}
{{- end }}
{{- if .Values.dns.enabled }}
{{- include "rollcall.check.stopping" (list "dns" .Values.dns) }}
{{- include "rollcall.check.dns" . }}
{{- if .Values.dns.service.enabled }}
{{- include "rollcall.check.dnsService" . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Names of Services begin with a letter and hold no dots, which names of releases may. */}}
{{- define "rollcall.check.name" -}}
{{- $name := include "rollcall.fullname" . }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}
{{- fail (printf "%s cannot be the beginning of a Service's name, which takes a letter first, then letters, digits and hyphens: set fullnameOverride, such as rollcall" $name) }}
{{- end }}
{{- end }}

{{- define "rollcall.check.certificates" -}}
{{- $source := include "rollcall.certificates.source" . }}
{{- if eq $source "authority" }}
{{- $authority := .Values.certificates.authority }}
{{- $ca := include "rollcall.seconds" $authority.caLifetime | int64 }}
{{- $leaf := include "rollcall.seconds" $authority.leafLifetime | int64 }}
{{- if or (lt $leaf 10) (gt $ca 315360000) }}
{{- fail (printf "certificates.authority: caLifetime %s and leafLifetime %s must be between 10s and 3650d; 365d and 7d are the defaults" $authority.caLifetime $authority.leafLifetime) }}
{{- end }}
{{- if lt $ca (mul 5 $leaf) }}
{{- fail (printf "certificates.authority.caLifetime %s is too short for leafLifetime %s: give at least five times as much, so that a rotation can end before the next begins" $authority.caLifetime $authority.leafLifetime) }}
{{- end }}
{{- end }}
{{- $bundle := .Values.certificates.caBundle }}
{{- if and .Values.dns.enabled (eq $source "off") (include "rollcall.dns.tls" .) (not (or $bundle.configMapName $bundle.secretName)) }}
{{- fail "dns.catalogs has https, and nothing says whom the DNS servers trust, as certificates.source is off: name a ConfigMap or Secret with the authorities in certificates.caBundle" }}
{{- end }}
{{- end }}

{{/* Takes (list "component" <its values>). */}}
{{- define "rollcall.check.stopping" -}}
{{- $values := last . }}
{{- $grace := $values.terminationGracePeriodSeconds }}
{{- if and $grace (le (int $grace) (int $values.lameDuckSeconds)) }}
{{- fail (printf "%[1]s.terminationGracePeriodSeconds %[2]d is not above %[1]s.lameDuckSeconds %[3]d, so that the pod would be killed while it is in use: leave it out, or give some seconds more" (first .) (int $grace) (int $values.lameDuckSeconds)) }}
{{- end }}
{{- end }}

{{/* Takes (list "component" <the values of its Service>). */}}
{{- define "rollcall.check.addresses" -}}
{{- $service := last . }}
{{- with $service.clusterIPs }}
{{- if and $service.clusterIP (ne $service.clusterIP (first .)) }}
{{- fail (printf "%[1]s.service.clusterIP %[2]s is not the first of %[1]s.service.clusterIPs: leave it out, or put it first" (first $) $service.clusterIP) }}
{{- end }}
{{- if and (gt (len .) 1) (not (has $service.ipFamilyPolicy (list "PreferDualStack" "RequireDualStack"))) }}
{{- fail (printf "%[1]s.service.clusterIPs has two addresses: set %[1]s.service.ipFamilyPolicy to PreferDualStack or RequireDualStack" (first $)) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "rollcall.check.dns" -}}
{{- $dns := .Values.dns }}
{{- $type := ($dns.strategy | default dict).type | default "RollingUpdate" }}
{{- if ne $dns.mode "stubDomain" }}
{{- if and $dns.service.enabled (include "rollcall.service.addresses" $dns.service | fromYamlArray | empty) }}
{{- fail (printf "dns.service.clusterIP is required with dns.mode %s: give the address that kubelets write into the pods' resolv.conf (clusterDNS in their configuration), such as 10.96.0.10" $dns.mode) }}
{{- end }}
{{- if and .Values.watchNamespaces (not $dns.catalogs) }}
{{- fail (printf "watchNamespaces do not fit dns.mode %s: for its pods no name of another namespace would exist, not even kubernetes.default; use dns.mode stubDomain, or leave watchNamespaces empty" $dns.mode) }}
{{- end }}
{{- if eq $dns.dnsPolicy "ClusterFirst" }}
{{- fail (printf "dns.dnsPolicy ClusterFirst does not fit dns.mode %s: the servers would ask themselves; use Default, or None with dns.dnsConfig" $dns.mode) }}
{{- end }}
{{- end }}
{{- if eq $dns.mode "nodeLocal" }}
{{- if $dns.autoscaling.enabled }}
{{- fail "dns.autoscaling.enabled does not fit dns.mode nodeLocal, where there is one server on each node: turn it off" }}
{{- end }}
{{- if eq $type "Recreate" }}
{{- fail "dns.strategy.type Recreate does not fit dns.mode nodeLocal: use RollingUpdate or OnDelete" }}
{{- end }}
{{- else if eq $type "OnDelete" }}
{{- fail (printf "dns.strategy.type OnDelete does not fit dns.mode %s: use RollingUpdate or Recreate" $dns.mode) }}
{{- end }}
{{- if and $dns.autoscaling.enabled (gt (int $dns.autoscaling.minReplicas) (int $dns.autoscaling.maxReplicas)) }}
{{- fail "dns.autoscaling.minReplicas is above dns.autoscaling.maxReplicas: swap them" }}
{{- end }}
{{- if and $dns.vantage $dns.enabled (not (include "rollcall.dns.tls" .)) }}
{{- fail "dns.vantage is for streams over TLS, where servers can say who they are: set certificates.source to authority, or leave dns.vantage false" }}
{{- end }}
{{- if eq (int $dns.listenPort) 9153 }}
{{- fail "dns.listenPort 9153 is the pods' port of metrics and readiness: take another, such as 1053" }}
{{- end }}
{{- end }}

{{- define "rollcall.check.dnsService" -}}
{{- $service := .Values.dns.service }}
{{- include "rollcall.check.addresses" (list "dns" $service) }}
{{- if and (gt (len $service.clusterIPs) 1) (lt (len .Values.listenAddresses) 2) }}
{{- fail "dns.service.clusterIPs has two addresses, and listenAddresses one family: set listenAddresses to [\"[::]\", \"0.0.0.0\"]" }}
{{- end }}
{{- if and (eq $service.type "ClusterIP") (eq (int $service.port) (int $service.httpPort)) }}
{{- fail (printf "dns.service.port and httpPort are both %d: give one of them another port, such as 53 and 9153" (int $service.port)) }}
{{- end }}
{{- end }}

{{/* A lifetime, such as 12h, in seconds. */}}
{{- define "rollcall.seconds" -}}
{{- $number := regexFind "^[0-9]+" . | int64 }}
{{- mul $number (get (dict "s" 1 "m" 60 "h" 3600 "d" 86400) (regexFind "[smhd]$" .)) }}
{{- end }}
