# Nodes talk to each other over QUIC (UDP) or TLS over TCP, as `--transport` says; only coordinators are reached from outside.

locals {
  node_port   = 7000
  flight_port = 31337
  http_port   = 8080
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = var.vpc_id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.route_table_ids
  tags              = { Name = "${var.name}-s3" }
}

resource "aws_security_group" "node" {
  name        = "${var.name}-node"
  description = "Nodes of the cluster"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "node" {
  for_each                     = toset(["tcp", "udp"])
  security_group_id            = aws_security_group.node.id
  description                  = "Nodes to each other"
  ip_protocol                  = each.value
  from_port                    = local.node_port
  to_port                      = local.node_port
  referenced_security_group_id = aws_security_group.node.id
}

resource "aws_vpc_security_group_egress_rule" "node" {
  for_each                     = toset(["tcp", "udp"])
  security_group_id            = aws_security_group.node.id
  description                  = "Nodes to each other"
  ip_protocol                  = each.value
  from_port                    = local.node_port
  to_port                      = local.node_port
  referenced_security_group_id = aws_security_group.node.id
}

# S3, Secrets Manager, and package mirrors at the first start, which are asked over HTTP.
resource "aws_vpc_security_group_egress_rule" "services" {
  for_each          = { http = 80, https = 443 }
  security_group_id = aws_security_group.node.id
  description       = "AWS and package mirrors"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_security_group" "coordinator" {
  name        = "${var.name}-coordinator"
  description = "Clients and operators of the coordinators"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "flight" {
  for_each          = toset(var.client_cidrs)
  security_group_id = aws_security_group.coordinator.id
  description       = "Flight SQL"
  ip_protocol       = "tcp"
  from_port         = local.flight_port
  to_port           = local.flight_port
  cidr_ipv4         = each.value
}

resource "aws_vpc_security_group_ingress_rule" "http" {
  for_each          = toset(var.operator_cidrs)
  security_group_id = aws_security_group.coordinator.id
  description       = "Health and metrics"
  ip_protocol       = "tcp"
  from_port         = local.http_port
  to_port           = local.http_port
  cidr_ipv4         = each.value
}
