"""Confirming: designs trained again with fresh seeds: is their mean at the target?"""
