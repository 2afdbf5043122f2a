{{/* What differs by `dns.mode`, and what the schema cannot refuse. */}}

{{- define "rollcall.dns.check" -}}
{{- $dns := .Values.dns }}
{{- if ne $dns.mode "stubDomain" }}
{{- if and $dns.service.enabled (not $dns.service.clusterIP) }}
{{- fail (printf "dns.service.clusterIP is required with dns.mode %s: give the address that kubelets write into the pods' resolv.conf (clusterDNS in their configuration), such as 10.96.0.10" $dns.mode) }}
{{- end }}
{{- if eq $dns.service.clusterIP "None" }}
{{- fail (printf "dns.service.clusterIP None does not fit dns.mode %s: pods need an address that stays" $dns.mode) }}
{{- end }}
{{- end }}
{{- if and (eq $dns.mode "nodeLocal") $dns.autoscaling.enabled }}
{{- fail "dns.autoscaling.enabled does not fit dns.mode nodeLocal: there is one server on each node" }}
{{- end }}
{{- if and $dns.autoscaling.enabled (gt (int $dns.autoscaling.minReplicas) (int $dns.autoscaling.maxReplicas)) }}
{{- fail "dns.autoscaling.minReplicas is above dns.autoscaling.maxReplicas: swap them" }}
{{- end }}
{{- end }}

{{- define "rollcall.dns.priorityClassName" -}}
{{- if kindIs "invalid" .Values.dns.priorityClassName }}
{{- eq .Values.dns.mode "nodeLocal" | ternary "system-node-critical" "system-cluster-critical" }}
{{- else }}
{{- .Values.dns.priorityClassName }}
{{- end }}
{{- end }}

{{/* As a YAML list. On every node means on tainted ones as well. */}}
{{- define "rollcall.dns.tolerations" -}}
{{- if kindIs "invalid" .Values.dns.tolerations }}
{{- eq .Values.dns.mode "nodeLocal" | ternary (list (dict "operator" "Exists")) list | toYaml }}
{{- else }}
{{- toYaml .Values.dns.tolerations }}
{{- end }}
{{- end }}

{{/* Servers for other names, as a YAML list. Beside another DNS server there are none: it has asked for a name of ours. */}}
{{- define "rollcall.dns.forward" -}}
{{- if kindIs "invalid" .Values.dns.forward }}
{{- eq .Values.dns.mode "stubDomain" | ternary list (list "/etc/resolv.conf") | toYaml }}
{{- else }}
{{- toYaml .Values.dns.forward }}
{{- end }}
{{- end }}

{{/*
Catalog servers, as a YAML list. By the address of the Service, which kubelet tells the pod, in every mode: as the cluster's
DNS there is nobody to ask for a name, and as a stub domain the one to ask may ask back.
*/}}
{{- define "rollcall.dns.catalogs" -}}
{{- if .Values.dns.catalogs }}
{{- toYaml .Values.dns.catalogs }}
{{- else }}
{{- $scheme := eq (include "rollcall.certificates.source" .) "off" | ternary "http" "https" -}}
- {{ $scheme }}://{{ include "rollcall.serviceHost" (include "rollcall.controller.fullname" .) }}:{{ .Values.controller.service.grpcPort }}
{{- end }}
{{- end }}
